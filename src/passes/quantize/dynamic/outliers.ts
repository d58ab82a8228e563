import { int } from '../../../graph/attributes.ts'
import { withFloats } from '../../../graph/float-data.ts'
import type { Node } from '../../../graph/node.ts'
import { Tensor } from '../../../graph/tensor.ts'
import { tensorType } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import { minMaxPerChannel, toFloat32 } from '../../../kernels/index.ts'
import type { DType } from '../../../onnx/dtypes.ts'
import { nameOf } from '../select.ts'
import { contractionLayout } from '../weight-cache.ts'
import type { Tools } from './tools.ts'

/** A row of a weight is an outlier if its largest magnitude is this many times that of the typical row. */
const RATIO = 16
/** More of them than this, or than one in `SHARE`, is no exception any more. */
const MOST = 16
const SHARE = 32

/** Rows of a matrix (along the axis that products sum over) that dwarf the others. */
export interface Outliers {
  rows: readonly number[]
  /** The rows themselves as a [rows, N] matrix, factors included. */
  weights: Float32Array
  columns: number
}

/**
 * Transformers have a few hidden channels of huge activations, which meet rows of huge weights. In 8 bits both take the
 * precision of everything beside them, so these few products are better done in float.
 *
 * @param factors what the rows are multiplied by before they are quantized
 */
export function findOutliers(
  tensor: Tensor,
  contraction: 'rows' | 'columns',
  factors: Float32Array | undefined,
): Outliers | undefined {
  if (tensor.dims.length !== 2 || tensor.elementCount === 0) return undefined
  const layout = contractionLayout(tensor.dims, contraction)
  const { min, max, nan, infinite } = withFloats(tensor, (data) => minMaxPerChannel(data, layout))
  if (nan + infinite > 0) return undefined
  const peaks = new Float64Array(max.length)
  for (let i = 0; i < peaks.length; i++) peaks[i] = Math.max(max[i]!, -min[i]!) * (factors?.[i] ?? 1)
  const typical = peaks.slice().sort()[peaks.length >> 1]!
  const rows: number[] = []
  if (typical > 0) for (let i = 0; i < peaks.length; i++) if (peaks[i]! > RATIO * typical) rows.push(i)
  if (rows.length === 0 || rows.length > MOST || rows.length * SHARE > peaks.length) return undefined
  const [first, second] = tensor.dims as [number, number]
  const columns = contraction === 'rows' ? second : first
  const weights = new Float32Array(rows.length * columns)
  rows.forEach((row, r) => {
    const values = contraction === 'rows' ? rowOf(tensor, row) : columnOf(tensor, row)
    weights.set(factors ? values.map((value) => value * factors[row]!) : values, r * columns)
  })
  return { rows, weights, columns }
}

function rowOf(tensor: Tensor, row: number): Float32Array {
  return withFloats(tensor, ({ dtype, bytes }) => {
    const length = bytes.byteLength / tensor.dims[0]!
    const from = row * length
    if (bytes instanceof Uint8Array) return toFloat32({ dtype, bytes: bytes.subarray(from, from + length) })
    const read = (target: Uint8Array, offset: number): void => bytes.read(target, from + offset)
    return toFloat32({ dtype, bytes: { byteLength: length, read } })
  })
}

function columnOf(tensor: Tensor, column: number): Float32Array {
  const [rows, columns] = tensor.dims as [number, number]
  const values = withFloats(tensor, toFloat32)
  return Float32Array.from({ length: rows }, (_, row) => values[row * columns + column]!)
}

/** `activation` without the channels that the outliers meet. */
export function maskOutliers(
  activation: Value,
  dtype: DType,
  { rows }: Outliers,
  length: number,
  node: Node,
  tools: Tools,
): Value {
  const key = `${activation.name}\u0000${rows.join()}`
  const known = tools.masked.get(key)
  if (known?.graph === node.graph) return known
  const mask = Array.from({ length }, (_, i) => (rows.includes(i) ? 0 : 1))
  const { graph } = node
  const masked = graph
    .insert(
      {
        op: 'Mul',
        name: `${nameOf(node)}_mask`,
        inputs: [activation, graph.addInitializer(`${activation.name}_mask`, Tensor.from(dtype, [length], mask))],
        outputs: [`${activation.name}_masked`],
        types: [tensorType(dtype, activation.shape)],
      },
      { before: node },
    )
    .output()
  tools.masked.set(key, masked)
  return masked
}

/** `product` plus the float product of the channels that `maskOutliers` left out. */
export function addOutliers(
  product: Value,
  activation: Value,
  dtype: DType,
  { rows, weights, columns }: Outliers,
  node: Node,
): Value {
  const { graph } = node
  const at = { before: node }
  const name = nameOf(node)
  const indices = graph.addInitializer(`${name}_outliers`, Tensor.int64(rows))
  const float = Tensor.float32([rows.length, columns], weights)
  const matrix = graph.addInitializer(
    `${name}_outlier_weights`,
    dtype === 'float32' ? float : Tensor.from(dtype, float.dims, [...weights]),
  )
  const gathered = graph.insert(
    {
      op: 'Gather',
      name: `${name}_outlier_gather`,
      inputs: [activation, indices],
      attributes: { axis: int(-1) },
      types: [tensorType(dtype)],
    },
    at,
  )
  const extra = graph.insert(
    {
      op: 'MatMul',
      name: `${name}_outlier_product`,
      inputs: [gathered.output(), matrix],
      types: [tensorType(dtype, node.output().shape)],
    },
    at,
  )
  return graph
    .insert(
      {
        op: 'Add',
        name: `${name}_outlier_add`,
        inputs: [product, extra.output()],
        types: [tensorType(dtype, node.output().shape)],
      },
      at,
    )
    .output()
}
