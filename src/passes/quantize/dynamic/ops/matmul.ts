import { replaceNode } from '../../replace.ts'
import { findWeight } from '../../weight.ts'
import { emitProduct } from '../product.ts'
import { type Handler, left } from '../tools.ts'
import { matrixWeight } from './matrix-weight.ts'

/** MatMul with a constant right side -> MatMulInteger. With `matmulConstOnly: false` also products of two activations. */
export const matMul: Handler = {
  op: 'MatMul',
  domain: '',
  quantize(node, tools) {
    const [a, b] = [node.input(0), node.input(1)]
    if (!a || !b) return 'skipped'
    const { activations, options } = tools
    const found = findWeight(b)
    if (!found) {
      if (options.matmulConstOnly || b.producer?.is('DequantizeLinear')) return 'skipped'
      const dtype = b.dtype ?? a.dtype
      if (dtype !== 'float32' && dtype !== 'float16') return 'skipped'
      const activation = activations.quantize(a, dtype, node)
      const weight = activations.quantize(b, dtype, node)
      replaceNode(node, emitProduct({ node, op: 'MatMulInteger', activation, weight, dtype }))
      return 'done'
    }
    const weight = matrixWeight(found.root, found.transposed, node, tools)
    if (typeof weight === 'string') return left(weight)
    const activation = activations.quantize(a, found.dtype, node)
    replaceNode(node, emitProduct({ node, op: 'MatMulInteger', activation, weight, dtype: found.dtype }))
    tools.leftovers.add(b)
    return 'done'
  },
}
