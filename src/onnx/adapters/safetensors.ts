import { byteLengthOf, type DType } from '../dtypes.ts'
import type { AdapterTensor, EncodedAdapter } from './types.ts'

/** Names of element types in the header. */
const NAMES: Readonly<Record<string, DType>> = {
  F64: 'float64',
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
  I64: 'int64',
  I32: 'int32',
  I16: 'int16',
  I8: 'int8',
  U64: 'uint64',
  U32: 'uint32',
  U16: 'uint16',
  U8: 'uint8',
  BOOL: 'bool',
}

interface Entry {
  dtype: string
  shape: number[]
  data_offsets: [number, number]
}

/**
 * Reads a safetensors file: the length of a JSON header (8 bytes), the header, the data. Data are views.
 * @throws Error in words if it is damaged
 */
export function decodeSafetensors(bytes: Uint8Array): AdapterTensor[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const length = bytes.length >= 8 ? Number(view.getBigUint64(0, true)) : Number.POSITIVE_INFINITY
  if (8 + length > bytes.length) throw new Error('it ends within its header')
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))) as Record<string, Entry>
  return Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .map(([name, { dtype: code, shape, data_offsets: range }]) => {
      const dtype = Object.hasOwn(NAMES, code) ? NAMES[code] : undefined
      if (!dtype) throw new Error(`"${name}" has elements of the unknown type ${code}`)
      const sound = Array.isArray(shape) && shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0)
      const expected = sound
        ? byteLengthOf(
            dtype,
            shape.reduce((total, dim) => total * dim, 1),
          )
        : Number.NaN
      const [start, end] = Array.isArray(range) ? range : [0, Number.NaN]
      if (!(start >= 0 && end - start === expected && 8 + length + end <= bytes.length))
        throw new Error(`the data of "${name}" do not fit its shape`)
      return { name, dtype, dims: shape, data: bytes.subarray(8 + length + start, 8 + length + end) }
    })
}

/**
 * Writes a safetensors file.
 * @throws Error for element types that the format does not have
 */
export function encodeSafetensors(tensors: readonly AdapterTensor[]): EncodedAdapter {
  let end = 0
  const entries = tensors.map(({ name, dtype, dims, data }) => {
    const code = Object.keys(NAMES).find((key) => NAMES[key] === dtype)
    if (!code) throw new Error(`"${name}" is ${dtype}, which safetensors can't hold`)
    const start = end
    end += data.length
    return [name, { dtype: code, shape: dims, data_offsets: [start, end] }]
  })
  const text = JSON.stringify(Object.fromEntries(entries))
  // Readers want data that is aligned; blanks may follow the header.
  const header = new TextEncoder().encode(text)
  const start = 8 + Math.ceil(header.length / 8) * 8
  const bytes = new Uint8Array(start + end).fill(0x20, 8, start)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(start - 8), true)
  bytes.set(header, 8)
  let at = start
  const offsets = tensors.map(({ data }) => {
    bytes.set(data, at)
    at += data.length
    return at - data.length
  })
  return { bytes, offsets }
}
