import { ints } from '../../../../graph/attributes.ts'
import type { Node } from '../../../../graph/node.ts'
import { Tensor } from '../../../../graph/tensor.ts'
import type { Value } from '../../../../graph/value.ts'
import type { DType } from '../../../../onnx/dtypes.ts'
import { replaceNode } from '../../replace.ts'
import { nameOf } from '../../select.ts'
import { findWeight } from '../../weight.ts'
import type { QuantizedActivation } from '../activations.ts'
import { emitProduct } from '../product.ts'
import { type Handler, left, type Tools } from '../tools.ts'
import { matrixWeight } from './matrix-weight.ts'

/** Gemm with constant B -> MatMulInteger [+ Add]. `alpha` goes into the weight's scale, `beta` into C. */
export const gemm: Handler = {
  op: 'Gemm',
  domain: '',
  quantize(node, tools) {
    const [a, b, c] = [node.input(0), node.input(1), node.input(2)]
    if (!a || !b) return 'skipped'
    const found = findWeight(b)
    if (!found) return left('its weight is computed at run time')
    const { weights } = tools
    const transposed = found.transposed !== (node.int('transB', 0) !== 0)
    const weight = matrixWeight(found.root, transposed, node, tools)
    if (typeof weight === 'string') return left(weight)
    const alpha = node.float('alpha', 1)
    const beta = node.float('beta', 1)
    const scale =
      alpha === 1
        ? weight.scale
        : weights.derive(weight.scale, `times_${alpha}`, () =>
            Tensor.float32(
              weight.scale.tensor!.dims,
              weight.scales.scales.map((value) => value * alpha),
            ),
          )
    let activation = tools.activations.quantize(a, found.dtype, node)
    if (node.int('transA', 0) !== 0) activation = transposedActivation(activation, node)
    let result = emitProduct({
      node,
      op: 'MatMulInteger',
      activation,
      weight: { ...weight, scale },
      dtype: found.dtype,
    })
    if (c && beta !== 0) {
      const addend = beta === 1 ? c : scaledC(c, beta, found.dtype, node, tools)
      const name = nameOf(node)
      result = node.graph
        .insert(
          {
            op: 'Add',
            name: `${name}_Add`,
            inputs: [result, addend],
            outputs: [`${node.output().name}_added`],
            types: [node.output().type],
          },
          { before: node },
        )
        .output()
    }
    replaceNode(node, result)
    tools.leftovers.add(b)
    if (c) tools.leftovers.add(c)
    return 'done'
  },
}

function transposedActivation(activation: QuantizedActivation, node: Node): QuantizedActivation {
  const transpose = node.graph.insert(
    {
      op: 'Transpose',
      name: `${nameOf(node)}_transA`,
      inputs: [activation.data],
      attributes: { perm: ints([1, 0]) },
      outputs: [`${activation.data.name}_transposed`],
    },
    { before: node },
  )
  return { ...activation, data: transpose.output() }
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
