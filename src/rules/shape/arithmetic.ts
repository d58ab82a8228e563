import { float } from '../../graph/attributes.ts'
import { no, numberOf, type Rule, rule } from '../../rewrite/index.ts'

export const notWhere: Rule = rule({
  name: 'not-where',
  doc: 'Where(Not(c), a, b) -> Where(c, b, a)',
  match: ({ op, any }) => op.Where(op.Not(any('c')).shared(), any('a'), any('b')),
  replace: ({ op, c, a, b }) => op.Where(c, b, a),
})

export const divMul: Rule = rule({
  name: 'div-mul',
  doc: '(1 / a) * b -> b / a',
  match: ({ op, any, either }) =>
    op.Mul(either({ quotient: op.Div(1, any('a')), reciprocal: op.Reciprocal(any('a')) }), any('b')),
  check: ({ a }) => a.isFloat || no('is not a float tensor', a),
  replace: ({ op, a, b }) => op.Div(b, a),
})

export const reluClip: Rule = rule({
  name: 'relu-clip',
  doc: 'Clip(Relu(x), min, max) -> Clip(x, max(0, min), max)',
  match: ({ op, any, rest }) => op.Clip(op.Relu(any('x')), rest()),
  check: ({ node, opset }) => {
    const [low, high] =
      opset < 11 ? [node.float('min', 0), node.float('max')] : [1, 2].map((i) => numberOf(node.input(i)))
    if ((node.input(1) && low === undefined) || (node.input(2) && high === undefined))
      return no('has computed bounds', node)
    const least = Math.max(0, low ?? 0)
    return high === undefined || high >= least ? { least, high } : no(`has the upper bound ${high}`, node)
  },
  replace: ({ op, x, node, opset, least, high }) =>
    opset < 11
      ? op.Clip(x, { min: float(least), max: high === undefined ? undefined : float(high) })
      : op.Clip(x, least, node.input(2)),
})
