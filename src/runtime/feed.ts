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
  for (let inner: unknown = value; isArray(inner); inner = inner[0]) dims.push(inner.length)
  let rows: ArrayLike<unknown>[] = [value]
  dims.forEach((size, depth) => {
    if (depth) rows = rows.flatMap((row) => [...(row as ArrayLike<unknown>[])])
    for (const row of rows) {
      const length = isArray(row) ? row.length : 'one element'
      if (length !== size) throw new OnnxSessionError('INPUT_SHAPE', `input "${input}": rows of ${length} and ${size}`)
    }
  })
  // Typed rows are joined in their own type, so that they are checked as one typed array would be.
  const [first] = rows
  const Row = first!.constructor as new (length: number) => Float32Array
  if (rows.some((row) => row.constructor !== Row)) throw wrongType(input, dtype, 'rows of several kinds')
  if (!ArrayBuffer.isView(first)) return { data: fromValues(input, dtype, rows.flat()), dims }
  const data = new Row(rows.length * first!.length)
  for (const [at, row] of rows.entries()) data.set(row as Float32Array, at * row.length)
  return { data: fromTypedArray(input, dtype, data), dims }
}

function isArray(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || ArrayBuffer.isView(value)
}
