import { no, type Rule, rule } from '../../../rewrite/index.ts'

/** Products of V and transposed probabilities, as in attention over the channels of images: brought to probabilities times V. */
export const transposedProbabilities: Rule = rule({
  name: 'transposed-probabilities',
  doc: 'v * Softmax(x)^T -> (Softmax(x) * v^T)^T',
  match: ({ op, any, maybe }) => {
    const softmax = maybe(['Cast', 'Reshape'], op.Softmax(any())).as('probabilities')
    return op.MatMul(any('value'), op.Transpose(softmax).as('turned'))
  },
  check: ({ value, turned }) => {
    const perm = turned.producer!.ints('perm')
    const swapped = perm && swapLast(perm.length)
    if (!swapped || perm.join() !== swapped.join()) return no('does not swap the last two axes', turned)
    return value.rank === perm.length ? { perm } : no('has not the rank of the probabilities', value)
  },
  replace: ({ op, value, probabilities, perm }) =>
    op.Transpose(op.MatMul(probabilities, op.Transpose(value, { perm })), { perm }),
})

/** Probabilities weighed by key or by head: the same as values that are. */
export const weightedProbabilities: Rule = rule({
  name: 'weighted-probabilities',
  doc: '(Softmax(x) * m) * v, m the same for all rows -> Softmax(x) * (m * v)',
  match: ({ op, any, maybe }) => {
    const softmax = maybe(['Cast', 'Dropout'], op.Softmax(any())).as('probabilities')
    return op.MatMul(op.Mul(softmax, any('weights')), any('value'))
  },
  check: ({ weights, value, probabilities }) => {
    const { shape } = weights
    const rank = probabilities.rank
    if (!shape || shape.length < 2 || shape.length !== value.rank || rank !== value.rank)
      return no('is no weight for each key or head', weights)
    return shape.at(-2) === 1 ? { perm: swapLast(shape.length) } : no('is not the same for all rows', weights)
  },
  replace: ({ op, probabilities, weights, value, perm }) =>
    op.MatMul(probabilities, op.Mul(value, op.Transpose(weights, { perm }))),
})

function swapLast(rank: number): number[] {
  const axes = Array.from({ length: rank }, (_, axis) => axis)
  return [...axes.slice(0, -2), rank - 1, rank - 2]
}
