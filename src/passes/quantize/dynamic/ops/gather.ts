import { int } from '../../../../graph/attributes.ts'
import type { Node } from '../../../../graph/node.ts'
import { Tensor } from '../../../../graph/tensor.ts'
import { tensorType } from '../../../../graph/types.ts'
import type { Value } from '../../../../graph/value.ts'
import { codeOf, type DType } from '../../../../onnx/dtypes.ts'
import { replaceNode } from '../../replace.ts'
import { nameOf } from '../../select.ts'
import { findWeight } from '../../weight.ts'
import type { QuantizedWeight } from '../../weight-cache.ts'
import { codeRange, type Handler, left, type Tools } from '../tools.ts'

/** Gather from a constant table -> Gather of 8-bit codes, then DequantizeLinear. */
export const gather: Handler = {
  op: 'Gather',
  domain: '',
  quantize(node, tools) {
    const [table, indices] = [node.input(0), node.input(1)]
    const found = findWeight(table)
    if (!table || !indices || !found || found.transposed || !isFloatTable(found.tensor)) return 'skipped'
    const { options, weights, tied, opset } = tools
    const { root, tensor, dtype } = found
    const rank = tensor.dims.length
    const axis = node.int('axis', 0)
    const at = axis < 0 ? axis + rank : axis
    const byRows = options.perChannel && tied.has(root) && at === 0
    // A scale per column costs nothing at run time, but DequantizeLinear has an axis only from opset 13 on.
    const byColumns = options.perChannel && !tied.has(root) && at !== rank - 1 && opset >= 13
    const weight = tied.has(root)
      ? weights.get(root, {
          type: options.weightType ?? 'int8',
          symmetric: true,
          range: codeRange(options),
          axis: options.perChannel ? 0 : undefined,
          contraction: 'columns',
          transposed: false,
        })
      : weights.get(root, {
          type: 'uint8',
          symmetric: false,
          range: 'full',
          axis: byColumns ? rank - 1 : undefined,
        })
    if (typeof weight === 'string') return left(weight)
    const codes = node.graph.insert(
      {
        op: 'Gather',
        name: `${nameOf(node)}_quant`,
        inputs: [weight.data, indices],
        attributes: { axis: node.attributes.get('axis') },
        outputs: [`${node.output().name}_quantized`],
        types: [tensorType(weight.data.dtype, node.output().shape)],
      },
      { before: node },
    )
    const output = node.output()
    let result: Value
    if (byRows) result = dequantizeRows(codes, weight, indices, node, tools)
    else {
      const zeroPoint = byColumns ? weights.zeroPoints(weight) : weight.zeroPoint
      result = dequantize(codes, weight.scale, zeroPoint, byColumns, node)
    }
    const float32 = result
    if (dtype !== 'float32') result = cast(result, dtype, node)
    replaceNode(node, result)
    const known = { data: codes.output(), scale: weight.scale, zeroPoint: weight.zeroPoint }
    // What is quantized with one scale can go on as it is.
    if (weight.data.dtype === 'uint8' && !byRows && !byColumns) tools.activations.register(result, known, codes.graph)
    tools.leftovers.add(table).add(output).add(result).add(float32)
    return 'done'
  },
}

function isFloatTable({ dtype, dims }: Tensor): boolean {
  return dims.length > 0 && (dtype === 'float32' || dtype === 'float16' || dtype === 'bfloat16' || dtype === 'float64')
}

function dequantize(codes: Node, scale: Value, zeroPoint: Value, perColumn: boolean, node: Node): Value {
  const output = node.output()
  return node.graph
    .insert(
      {
        op: 'DequantizeLinear',
        name: `${output.name}_DequantizeLinear`,
        inputs: [codes.output(), scale, zeroPoint],
        attributes: { axis: perColumn ? int(-1) : undefined },
        outputs: [`${output.name}_dequantized`],
        types: [tensorType('float32', output.shape)],
      },
      { before: node },
    )
    .output()
}

/** The scales are a table with one column: gathered by the same indices they fit the gathered rows. */
function dequantizeRows(codes: Node, weight: QuantizedWeight, indices: Value, node: Node, tools: Tools): Value {
  const { graph } = node
  const name = nameOf(node)
  const { scales } = weight.scales
  const column = tools.weights.derive(weight.scale, 'column', () =>
    Tensor.float32(
      [
        scales.length,
        ...node
          .input(0)!
          .constant!.dims.slice(1)
          .map(() => 1),
      ],
      scales,
    ),
  )
  const one = tools.weights.derive(weight.scale, 'one', () => Tensor.float32([], [1]))
  const gathered = graph.insert(
    { op: 'Gather', name: `${name}_scale`, inputs: [column, indices], attributes: { axis: int(0) } },
    { before: node },
  )
  const steps = dequantize(codes, one, weight.zeroPoint, false, node)
  return graph
    .insert(
      {
        op: 'Mul',
        name: `${name}_scale_mul`,
        inputs: [steps, gathered.output()],
        types: [tensorType('float32', node.output().shape)],
      },
      { before: node },
    )
    .output()
}

function cast(value: Value, dtype: DType, node: Node): Value {
  return node.graph
    .insert(
      {
        op: 'Cast',
        name: `${value.name}_Cast`,
        inputs: [value],
        attributes: { to: int(codeOf(dtype)) },
        types: [tensorType(dtype, value.shape)],
      },
      { before: node },
    )
    .output()
}
