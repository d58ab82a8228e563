import { replaceNode } from '../../replace.ts'
import { nameOf } from '../../select.ts'
import { findMatrix, type Handler, left } from '../tools.ts'
import { planDequantized } from './dequantized.ts'
import { planProduct } from './product.ts'

/** Gemm with constant B, without factors -> MatMulNBits or MatMulBnb4, then Add. */
export const gemm: Handler = {
  op: 'Gemm',
  plan(node, tools) {
    const [a, b] = [node.input(0), node.input(1)]
    const matrix = findMatrix(b, node.int('transB', 0) !== 0)
    if (!a || !b || !matrix) return 'skipped'
    if (typeof matrix === 'string') return left(matrix)
    if (tools.options.weightFormat === 'qdq' && tools.options.quantize === 'weights')
      return planDequantized(node, matrix, tools)
    if (node.int('transA', 0) !== 0) return left('its input is transposed')
    if (node.float('alpha', 1) !== 1 || (node.input(2) && node.float('beta', 1) !== 1)) return left('it has factors')
    const product = planProduct(node, matrix, tools)
    if (typeof product === 'string') return left(product)
    return {
      job: product.job,
      emit() {
        let result = product.emit()
        const addend = node.input(2)
        if (addend)
          result = node.graph
            .insert(
              {
                op: 'Add',
                name: `${nameOf(node)}_Add`,
                inputs: [result, addend],
                outputs: [`${node.output().name}_added`],
                types: [node.output().type],
              },
              { before: node },
            )
            .output()
        replaceNode(node, result)
        tools.leftovers.add(b)
      },
    }
  },
}
