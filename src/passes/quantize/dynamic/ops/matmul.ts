import { replaceNode } from '../../replace.ts'
import { findWeight } from '../../weight.ts'
import { emitProduct } from '../product.ts'
import { type Handler, left } from '../tools.ts'
import { matrixProduct } from './matrix-product.ts'

/** MatMul with a constant right side -> MatMulInteger. With `matmulConstOnly: false` also products of two activations. */
export const matMul: Handler = {
  op: 'MatMul',
  domain: '',
  quantize(node, tools) {
    const [a, b] = [node.input(0), node.input(1)]
    if (!a || !b) return 'skipped'
    const { activations, options } = tools
    const found = findWeight(b)
    const weight = found && (tools.copies.get(found.root) ?? found)
    if (!weight) {
      if (options.matmulConstOnly) return 'skipped'
      const dtype = b.dtype ?? a.dtype
      if (dtype !== 'float32' && dtype !== 'float16') return 'skipped'
      const [left, right] = [a, b].map((value) => activations.quantize(value, dtype, node))
      replaceNode(node, emitProduct({ node, op: 'MatMulInteger', activation: left!, weight: right!, dtype }))
      return 'done'
    }
    const result = matrixProduct({ node, activation: a, weight, transposed: weight.transposed }, tools)
    if (typeof result === 'string') return left(result)
    replaceNode(node, result)
    tools.leftovers.add(b)
    return 'done'
  },
}
