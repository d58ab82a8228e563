import { replaceNode } from '../../replace.ts'
import { findMatrix, type Handler, left } from '../tools.ts'
import { planDequantized } from './dequantized.ts'
import { planProduct } from './product.ts'

/** MatMul with a constant right side -> MatMulNBits or MatMulBnb4. */
export const matMul: Handler = {
  op: 'MatMul',
  plan(node, tools) {
    const [a, b] = [node.input(0), node.input(1)]
    const matrix = findMatrix(b)
    if (!a || !b || !matrix) return 'skipped'
    if (typeof matrix === 'string') return left(matrix)
    if (tools.options.weightFormat === 'qdq' && tools.options.quantize === 'weights')
      return planDequantized(node, matrix, tools)
    const product = planProduct(node, matrix, tools)
    if (typeof product === 'string') return left(product)
    return {
      job: product.job,
      emit() {
        replaceNode(node, product.emit())
        tools.leftovers.add(b)
      },
    }
  },
}
