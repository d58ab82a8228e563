import type { Node } from '../../graph/node.ts'
import type { Value } from '../../graph/value.ts'
import { constantOf, type Failure, no, type Rule, rule, sameDim, sameShape } from '../../rewrite/index.ts'

/**
 * Orders the terms of a residual sum as the Skip operators take them: an input of two or three dimensions, and a skip of the
 * same shape or one that lacks the batch. A kernel meets other shapes with an error, so they must be known.
 */
function residual(a: Value, b: Value): { input: Value; skip: Value } | Failure {
  for (const [input, skip] of [
    [a, b],
    [b, a],
  ] as const) {
    if (constantOf(input)) continue
    const [shape, other] = [input.shape, skip.shape]
    if (!shape || !other) return no('has an unknown rank', shape ? skip : input)
    const fits = shape.length === 2 ? sameShape(shape, other) : shape.length === 3 && covers(shape, other)
    if (fits && !(constantOf(skip) && other.length === 1)) return { input, skip }
  }
  return no(`and "${b.name}" are not known to have one shape: [${a.shape}] and [${b.shape}]`, a)
}

function covers(shape: Value['shape'] & object, skip: Value['shape'] & object): boolean {
  if (sameShape(shape, skip)) return true
  const isBatch = skip.length === 3 && skip[0] === 1
  return (isBatch || skip.length === 2) && sameShape(shape.slice(1), isBatch ? skip.slice(1) : skip)
}

/** True where a normalization is over the last axis, with 1-D operands: all that the Skip operators do. */
function isLastAxis(node: Node, x: Value, operands: readonly (Value | undefined)[]): true | Failure {
  const axis = node.int('axis', -1)
  if (axis !== -1 && axis + 1 !== x.rank) return no(`has the axis ${axis}`, node)
  const bad = operands.find((operand) => operand && operand.rank !== 1)
  return bad ? no('is not 1-D', bad) : true
}

export const skipLayerNorm: Rule = rule({
  name: 'skip-layer-norm',
  doc: 'LayerNormalization(a + b) -> SkipLayerNormalization, with the sum as an output where it is read',
  emits: ['com.microsoft:SkipLayerNormalization'],
  match: ({ op, any, ifGiven }) =>
    op.LayerNormalization(op.Add(any('a'), any('b')).as('sum').replaced(), any('gamma'), ifGiven(any('beta'))),
  check: ({ a, b, node, sum, gamma, beta }) => {
    const verdict = isLastAxis(node, sum, [gamma, beta])
    return verdict === true ? residual(a, b) : verdict
  },
  replace: ({ create, emitted, input, skip, gamma, beta, node, sum, isReadOutside }) => {
    const outputs = isReadOutside(sum) ? [true, false, false, true] : 1
    const attributes = { epsilon: node.float('epsilon', 1e-5) }
    const [y, , , total] = create({ op: emitted, inputs: [input, skip, gamma, beta], attributes, outputs })
    return total ? { root: y!, sum: total } : y!
  },
})

export const skipRmsNorm: Rule = rule({
  name: 'skip-rms-norm',
  doc: 'RMSNormalization(a + b) -> SkipSimplifiedLayerNormalization, with the sum as an output where it is read',
  emits: ['com.microsoft:SkipSimplifiedLayerNormalization'],
  match: ({ oneOf, op, any }) =>
    oneOf(
      ['SimplifiedLayerNormalization', 'RMSNormalization'],
      op.Add(any('a'), any('b')).as('sum').replaced(),
      any('gamma'),
    ),
  check: ({ a, b, node, sum, gamma }) => {
    const verdict = isLastAxis(node, sum, [gamma])
    return verdict === true ? residual(a, b) : verdict
  },
  replace: ({ create, emitted, input, skip, gamma, node, sum, isReadOutside }) => {
    const outputs = isReadOutside(sum) ? [true, false, false, true] : 1
    const attributes = { epsilon: node.float('epsilon', 1e-5) }
    const [y, , , total] = create({ op: emitted, inputs: [input, skip, gamma], attributes, outputs })
    return total ? { root: y!, sum: total } : y!
  },
})

/** The bias of the projection before the residual sum. Both positions are tried: the sum does not care which one is the skip. */
export const skipLayerNormBias: Rule = rule({
  name: 'skip-layer-norm-bias',
  doc: 'SkipLayerNormalization(x + bias, skip, ...) -> SkipLayerNormalization(x, skip, ..., bias)',
  emits: ['com.microsoft:SkipLayerNormalization', 'com.microsoft:SkipSimplifiedLayerNormalization'],
  match: ({ op, ms, any, constant, either }) => {
    const biased = op.Add(any('x').as('x'), constant('bias'))
    const gamma = any('gamma')
    return either({
      first: ms.SkipLayerNormalization(biased, any('skip'), gamma, any('beta')),
      second: ms.SkipLayerNormalization(any('skip'), biased, gamma, any('beta')),
      simpleFirst: ms.SkipSimplifiedLayerNormalization(biased, any('skip'), gamma),
      simpleSecond: ms.SkipSimplifiedLayerNormalization(any('skip'), biased, gamma),
    })
  },
  check: ({ x, skip, bias }) => {
    if (bias.rank !== 1 || !sameDim(bias.shape![0], x.shape?.at(-1)))
      return no('is no bias of the last dimension', bias)
    return sameShape(x.shape, skip.shape) || no('has not the shape of the skip', x)
  },
  replace: ({ create, node, x, skip, gamma, beta, bias }) => {
    const inputs = node.opType === 'SkipLayerNormalization' ? [x, skip, gamma, beta, bias] : [x, skip, gamma, bias]
    const attributes = { epsilon: node.float('epsilon') }
    return create({
      op: node.qualifiedType,
      inputs,
      attributes,
      outputs: node.outputs.map((output) => output !== null),
    })
  },
})
