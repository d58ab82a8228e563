import { fromTypedArray, fromValues, storageLength, type TensorData, wrongType } from './elements.ts'
import { OnnxSessionError } from './error.ts'
import type { OrtTensor } from './ort.ts'

/** One input, as far as its value alone tells. */
export interface ReadFeed {
  /** CPU data, or a tensor of ONNX Runtime that is passed on as it is because its data is on a device. */
  data: TensorData | OrtTensor
  /** Number of elements; undefined where `dims` is there. */
  length?: number
  /** The shape; undefined for a flat array or single element, whose shape the declaration decides. */
  dims?: readonly number[]
}

/**
 * Reads what the user passed for an input: nested arrays, typed array, single value, `{ data, dims }`, tensor.
 * @throws OnnxSessionError INPUT_DTYPE or INPUT_SHAPE
 */
export function readFeed(input: string, dtype: string, value: unknown): ReadFeed {
  if (ArrayBuffer.isView(value)) {
    const data = fromTypedArray(input, dtype, value)
    return { data, length: dtype.endsWith('int4') ? data.length * 2 : data.length }
  }
  if (Array.isArray(value)) return readNested(input, dtype, value)
  if (typeof value !== 'object') return { data: fromValues(input, dtype, [value]), length: 1 }
  // An OnnxTensor, known by its field: pages may hold several copies of this code.
  const tensor = ((value as { tensor?: OrtTensor } | null)?.tensor ?? value) as Partial<OrtTensor> | null
  if (!tensor || !Array.isArray(tensor.dims)) throw wrongType(input, dtype, value === null ? 'null' : 'an object')
  return readTensor(input, dtype, tensor, tensor.dims)
}

function readTensor(input: string, dtype: string, tensor: Partial<OrtTensor>, dims: readonly number[]): ReadFeed {
  // Rounding float32 to float16 is what passing a Float32Array means too; no other tensor is converted.
  if (tensor.type !== undefined && tensor.type !== dtype && `${tensor.type}${dtype}` !== 'float32float16')
    throw wrongType(input, dtype, `a tensor of ${tensor.type}`)
  if (tensor.location !== undefined && !tensor.location.startsWith('cpu')) return { data: tensor as OrtTensor, dims }
  const source = tensor.data
  const data = ArrayBuffer.isView(source)
    ? fromTypedArray(input, dtype, source)
    : fromValues(input, dtype, Array.isArray(source) ? source : [source])
  const count = dims.reduce((product, size) => product * (size >>> 0 === size ? size : Number.NaN), 1)
  if (storageLength(dtype, count) !== data.length)
    throw new OnnxSessionError('INPUT_SHAPE', `input "${input}": ${data.length} elements do not make [${dims}]`)
  return { data, dims: [...dims] }
}

function readNested(input: string, dtype: string, value: readonly unknown[]): ReadFeed {
  const dims: number[] = []
  let inner: unknown = value
  while (Array.isArray(inner) || ArrayBuffer.isView(inner)) {
    const row = inner as unknown[]
    dims.push(row.length)
    inner = row[0]
  }
  const rows: ArrayLike<unknown>[] = []
  collect(value, 0)
  const last = dims[dims.length - 1]!
  // Typed rows are joined in their own type, so that they are checked as one typed array would be.
  const Row = rows[0]?.constructor as new (length: number) => Float32Array
  const typed = ArrayBuffer.isView(rows[0])
  const flat = typed ? new Row(rows.length * last) : ([] as unknown[])
  rows.forEach((row, at) => {
    if (ArrayBuffer.isView(row) !== typed) throw wrongType(input, dtype, 'typed and plain rows in one value')
    if (typed) {
      if (row.constructor !== Row) throw wrongType(input, dtype, 'rows of several typed arrays')
      ;(flat as Float32Array).set(row as Float32Array, at * last)
    } else for (let i = 0; i < last; i++) (flat as unknown[]).push(row[i])
  })
  const data = ArrayBuffer.isView(flat) ? fromTypedArray(input, dtype, flat) : fromValues(input, dtype, flat)
  return { data, dims }

  function collect(row: unknown, depth: number): void {
    const array = Array.isArray(row) || ArrayBuffer.isView(row) ? (row as unknown[]) : undefined
    if (array?.length !== dims[depth])
      throw new OnnxSessionError(
        'INPUT_SHAPE',
        `input "${input}": rows differ in length (${array ? array.length : 'one element'} and ${dims[depth]})`,
      )
    if (depth === dims.length - 1) rows.push(array!)
    else for (const next of array!) collect(next, depth + 1)
  }
}
