import type { Value } from '../../graph/value.ts'
import { constantOf, type Failure, no, type Rule, rule, sameDim, sameShape } from '../../rewrite/index.ts'
import { CHANNELS_FIRST, CHANNELS_LAST } from './group-norm.ts'

/** Orders the terms of the sum: an image, and a skip of its shape or of one number per image and channel. */
function residual(a: Value, b: Value): { input: Value; skip: Value } | Failure {
  for (const [input, skip] of [
    [a, b],
    [b, a],
  ] as const) {
    const [shape, other] = [input.shape, skip.shape]
    if (shape?.length !== 4 || other?.length !== 4 || constantOf(input)) continue
    const perChannel = sameDim(shape[0], other[0]) && sameDim(shape[1], other[1]) && other[2] === 1 && other[3] === 1
    if (perChannel || sameShape(shape, other)) return { input, skip }
  }
  return no(`and "${b.name}" are not known to have one shape: [${a.shape}] and [${b.shape}]`, a)
}

/** After the group norms were found. */
export const skipGroupNorm: Rule = rule({
  name: 'skip-group-norm',
  doc: 'GroupNorm(Transpose(a + b)) -> SkipGroupNorm, with the sum as an output where it is read',
  emits: ['com.microsoft:SkipGroupNorm'],
  match: ({ op, ms, any }) => {
    const sum = op.Add(any('a'), any('b')).as('sum').replaced()
    const last = op.Transpose(sum, { perm: CHANNELS_LAST })
    return ms.GroupNorm(last, any('gamma'), any('beta'), { channels_last: 1 })
  },
  check: ({ a, b }) => residual(a, b),
  replace: ({ op, create, emitted, node, input, skip, gamma, beta, sum, isReadOutside }) => {
    const perm = CHANNELS_LAST
    const [y, total] = create({
      op: emitted,
      inputs: [op.Transpose(input, { perm }), gamma, beta, op.Transpose(skip, { perm })],
      attributes: Object.fromEntries(node.attributes),
      outputs: isReadOutside(sum) ? 2 : 1,
    })
    return total ? { root: y!, sum: op.Transpose(total, { perm: CHANNELS_FIRST }) } : y!
  },
})
