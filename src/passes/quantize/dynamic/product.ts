import { type Attributes, int } from '../../../graph/attributes.ts'
import type { Node } from '../../../graph/node.ts'
import { tensorType } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import { codeOf, type DType } from '../../../onnx/dtypes.ts'
import { nameOf } from '../select.ts'
import type { QuantizedActivation } from './activations.ts'

/** One integer product to emit. */
export interface Product {
  /** The float node it stands for: gives place and names. */
  node: Node
  op: 'MatMulInteger' | 'ConvInteger'
  activation: QuantizedActivation
  weight: { data: Value; scale: Value; zeroPoint: Value }
  /** The float type of the result. */
  dtype: DType
  attributes?: Attributes
}

/**
 * `activation x weight` in integers, then Cast to float and Mul by the product of both scales, in the very form that ONNX Runtime
 * fuses into DynamicQuantizeMatMul or MatMulIntegerToFloat when it loads the model.
 *
 * @returns the float result
 */
export function emitProduct({ node, op, activation, weight, dtype, attributes }: Product): Value {
  const { graph } = node
  const at = { before: node }
  const name = nameOf(node)
  const output = node.output()
  const { shape } = output
  const scales = graph.insert(
    {
      op: 'Mul',
      name: `${name}_quant_scales_mul`,
      inputs: [activation.scale, weight.scale],
      outputs: [`${name}_quant_scales`],
      types: [tensorType('float32', weight.scale.shape)],
    },
    at,
  )
  const product = graph.insert(
    {
      op,
      name: `${name}_quant`,
      inputs: [activation.data, weight.data, activation.zeroPoint, weight.zeroPoint],
      ...(attributes ? { attributes } : {}),
      outputs: [`${output.name}_output_quantized`],
      types: [tensorType('int32', shape)],
    },
    at,
  )
  const cast = castTo(product.output(), 'float32', node, `${output.name}_output_quantized_cast`)
  const scaled = graph.insert(
    {
      op: 'Mul',
      name: `${name}_quant_output_scale_mul`,
      inputs: [cast, scales.output()],
      outputs: [`${output.name}_dequantized`],
      types: [tensorType('float32', shape)],
    },
    at,
  )
  return dtype === 'float32' ? scaled.output() : castTo(scaled.output(), dtype, node, `${output.name}_dequantized_cast`)
}

function castTo(value: Value, dtype: DType, before: Node, name: string): Value {
  return before.graph
    .insert(
      {
        op: 'Cast',
        name,
        inputs: [value],
        attributes: { to: int(codeOf(dtype)) },
        outputs: [name],
        types: [tensorType(dtype, value.shape)],
      },
      { before },
    )
    .output()
}
