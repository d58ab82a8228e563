import type { Node } from '../../../../graph/node.ts'
import { Tensor } from '../../../../graph/tensor.ts'
import type { Value } from '../../../../graph/value.ts'
import type { DType } from '../../../../onnx/dtypes.ts'
import { replaceNode } from '../../replace.ts'
import { nameOf } from '../../select.ts'
import { findWeight } from '../../weight.ts'
import { type Handler, left, type Tools } from '../tools.ts'
import { matrixProduct } from './matrix-product.ts'

/** Gemm with constant B -> MatMulInteger [+ Add]. `alpha` goes into the weight's scale, `beta` into C. */
export const gemm: Handler = {
  op: 'Gemm',
  domain: '',
  quantize(node, tools) {
    const [a, b, c] = [node.input(0), node.input(1), node.input(2)]
    if (!a || !b) return 'skipped'
    const found = findWeight(b)
    if (!found) return left('its weight is computed at run time')
    const copied = tools.copies.get(found.root)
    const weight = copied ?? found
    const product = {
      node,
      activation: a,
      weight,
      transA: node.int('transA', 0) !== 0,
      transposed: copied ? true : weight.transposed !== (node.int('transB', 0) !== 0),
      alpha: node.float('alpha', 1),
    }
    let result = matrixProduct(product, tools)
    if (typeof result === 'string') return left(result)
    const beta = node.float('beta', 1)
    if (c && beta !== 0) {
      const addend = beta === 1 ? c : scaledC(c, beta, weight.dtype, node, tools)
      const sum = node.graph.insert(
        {
          op: 'Add',
          name: `${nameOf(node)}_Add`,
          inputs: [result, addend],
          outputs: [`${node.output().name}_added`],
          types: [node.output().type],
        },
        { before: node },
      )
      result = sum.output()
    }
    replaceNode(node, result)
    tools.leftovers.add(b)
    if (c) tools.leftovers.add(c)
    return 'done'
  },
}

function scaledC(c: Value, beta: number, dtype: DType, node: Node, { weights }: Tools): Value {
  const constant = c.constant
  if (constant)
    return weights.derive(c, `times_${beta}`, () =>
      Tensor.from(
        constant.dtype!,
        constant.dims,
        constant.toNumbers().map((value) => value * beta),
      ),
    )
  const factor = node.graph.addInitializer(`${nameOf(node)}_beta`, Tensor.from(dtype, [], [beta]))
  return node.graph
    .insert(
      { op: 'Mul', name: `${nameOf(node)}_beta_mul`, inputs: [c, factor], outputs: [`${c.name}_scaled`] },
      { before: node },
    )
    .output()
}
