import { constantOf, Failure, no, type Rule, rule } from '../../rewrite/index.ts'
import { batchNorm, numbersOf, ownWeights, tensorLike } from '../weights.ts'

/** MatMul or Gemm of a matrix with weights: the features are both what BatchNormalization calls channels and the columns. */
export const linearBatchNorm: Rule = rule({
  name: 'linear-batch-norm',
  doc: 'BatchNormalization(MatMul or Gemm) -> Gemm',
  match: ({ op, oneOf, any, constant, rest }) =>
    op.BatchNormalization(oneOf(['MatMul', 'Gemm'], any('x'), constant('w'), rest()).as('product'), rest()),
  check: ({ x, w, product, node, opset }) => {
    if (x.rank !== 2 || opset < 7) return no('is not a matrix', x)
    const weights = ownWeights(w)
    if (weights instanceof Failure) return weights
    const gemm = product.producer!
    const bias = constantOf(gemm.input(2))
    const transB = gemm.int('transB', 0)
    const columns = weights.dims[transB ? 0 : 1]!
    if (gemm.input(2) && bias?.elementCount !== columns)
      return no('is not a constant with a number per feature', gemm.input(2))
    const normalized = batchNorm(node)
    return normalized instanceof Failure ? normalized : { ...normalized, weights, bias, gemm, transB, columns }
  },
  replace: ({ op, x, weights, bias, gemm, transB, columns, factor, shift }) => {
    const inner = weights.dims[1]!
    const scaled = Float64Array.from(
      numbersOf(weights),
      (number, i) => number * factor[transB ? Math.floor(i / inner) : i % inner]!,
    )
    const old = bias ? numbersOf(bias) : []
    const sums = Array.from(
      { length: columns },
      (_, i) => (old[i] ?? 0) * gemm.float('beta', 1) * factor[i]! + shift[i]!,
    )
    const attributes = { ...Object.fromEntries(gemm.attributes), beta: 1 }
    return op.Gemm(x, tensorLike(weights, scaled), tensorLike(weights, sums, [columns]), attributes)
  },
})
