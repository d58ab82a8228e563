import type { Value } from '../../graph/value.ts'
import { type Failure, no, type Rule, rule, sameDim } from '../../rewrite/index.ts'

/**
 * CUDA only. The kernel broadcasts the bias over one run of dimensions: the leading ones, or those between the batch and the
 * dimension that the softmax is over.
 */
function broadcastOf(x: Value, bias: Value): { isInner: 0 | 1 } | Failure {
  const [shape, other] = [x.shape, bias.shape]
  if (!shape || other?.length !== shape.length) return no('has not the rank of the input', bias)
  if (!sameDim(other.at(-1), shape.at(-1))) return no('has not the last dimension of the input', bias)
  const leading = other.slice(0, -1)
  const ones = leading.filter((dim) => dim === 1).length
  const matches = (from: number, to: number): boolean =>
    leading.slice(from, to).every((dim, i) => sameDim(dim, shape[from + i]))
  if (leading[0] !== 1 && leading.slice(-ones).every((dim) => dim === 1) && matches(0, leading.length - ones))
    return { isInner: 1 }
  if (ones && leading.slice(0, ones).every((dim) => dim === 1) && matches(ones, leading.length)) return { isInner: 0 }
  return no(`has the shape [${other}], broadcast in more than one place`, bias)
}

export const biasSoftmax: Rule = rule({
  name: 'bias-softmax',
  doc: 'Softmax(x + bias) over the last dimension -> BiasSoftmax',
  emits: ['com.microsoft:BiasSoftmax'],
  match: ({ op, any }) => op.Softmax(op.Add(any('a'), any('b'))),
  check: ({ a, b, node, opset }) => {
    const axis = node.int('axis', opset < 13 ? 1 : -1)
    if (axis !== -1 && axis + 1 !== a.rank) return no(`is over the axis ${axis}`, node)
    const [straight, swapped] = [broadcastOf(a, b), broadcastOf(b, a)]
    if ('isInner' in straight) return { ...straight, x: a, bias: b, axis: a.rank! - 1 }
    return 'isInner' in swapped ? { ...swapped, x: b, bias: a, axis: a.rank! - 1 } : straight
  },
  replace: ({ emit, x, bias, axis, isInner }) => emit(x, bias, { axis, is_inner_broadcast: isInner }),
})
