import { readFileSync } from 'node:fs'
import type { DType } from './dtypes.ts'
import { OnnxError } from './errors.ts'
import { readZip } from './zip.ts'

/** An array of NumPy: row-major, little-endian. */
export type NpyArray =
  | { dtype: Exclude<DType, 'string'>; dims: number[]; data: Uint8Array }
  | { dtype: 'string'; dims: number[]; strings: string[] }

const DTYPES: Readonly<Record<string, { dtype: Exclude<DType, 'string'>; size: number }>> = {
  b1: { dtype: 'bool', size: 1 },
  i1: { dtype: 'int8', size: 1 },
  i2: { dtype: 'int16', size: 2 },
  i4: { dtype: 'int32', size: 4 },
  i8: { dtype: 'int64', size: 8 },
  u1: { dtype: 'uint8', size: 1 },
  u2: { dtype: 'uint16', size: 2 },
  u4: { dtype: 'uint32', size: 4 },
  u8: { dtype: 'uint64', size: 8 },
  f2: { dtype: 'float16', size: 2 },
  f4: { dtype: 'float32', size: 4 },
  f8: { dtype: 'float64', size: 8 },
  c8: { dtype: 'complex64', size: 8 },
  c16: { dtype: 'complex128', size: 16 },
}

/**
 * Reads a `.npz` file (a zip of arrays) or a `.npy` file (one array, under the name '').
 *
 * @returns arrays by name, in file order
 * @throws OnnxError `NPY_INVALID` for damaged files and element types that no tensor has
 */
export function readNumpyFile(file: string): Map<string, NpyArray> {
  let bytes: Uint8Array
  try {
    bytes = readFileSync(file)
  } catch (cause) {
    throw new OnnxError('NPY_UNREADABLE', `cannot read the arrays: ${(cause as Error).message}`, {
      place: { file },
      cause,
    })
  }
  try {
    return bytes[0] === 0x93 ? new Map([['', parseNpy(bytes)]]) : parseNpz(bytes)
  } catch (error) {
    if (error instanceof OnnxError) throw error.at({ file })
    throw invalid(`this is no sound .npz or .npy file: ${(error as Error).message}`, error).at({ file })
  }
}

/** The arrays of a `.npz` file's bytes. */
export function parseNpz(bytes: Uint8Array): Map<string, NpyArray> {
  return new Map(
    [...readZip(bytes, (name) => name.endsWith('.npy'))].map(([name, content]) => {
      const key = name.replace(/\.npy$/, '')
      try {
        return [key, parseNpy(content)]
      } catch (error) {
        throw error instanceof OnnxError ? invalid(`array '${key}': ${error.what}`, error) : error
      }
    }),
  )
}

/** The array of a `.npy` file's bytes. */
export function parseNpy(bytes: Uint8Array): NpyArray {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  if (buffer.toString('latin1', 0, 6) !== '\x93NUMPY') throw invalid('this is no .npy file')
  const wide = buffer[6]! > 1
  const start = (wide ? 12 : 10) + (wide ? buffer.readUInt32LE(8) : buffer.readUInt16LE(8))
  // A Python literal: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
  const header = buffer.toString('latin1', wide ? 12 : 10, start)
  const [, order, code] = /'descr':\s*'([<>|=]?)([a-zA-Z]\d+)'/.exec(header) ?? []
  const shape = /'shape':\s*\(([^)]*)\)/.exec(header)?.[1]
  if (code === undefined || shape === undefined)
    throw invalid(`an array of this kind cannot be read (${header.trim().slice(0, 80)})`)
  const dims = shape.split(',').flatMap((dim) => (dim.trim() ? [Number.parseInt(dim, 10)] : []))
  const count = dims.reduce((product, dim) => product * dim, 1)
  const text = /^([US])(\d+)$/.exec(code)
  const size = text ? Number(text[2]) * (text[1] === 'U' ? 4 : 1) : DTYPES[code]?.size
  if (size === undefined) throw invalid(`elements of the NumPy type '${code}' have no ONNX type`)
  let data: Uint8Array = bytes.slice(start, start + count * size)
  if (data.length !== count * size)
    throw invalid(`the file ends ${count * size - data.length} bytes before its last element`)
  if (/'fortran_order':\s*True/.test(header)) data = toRowMajor(data, dims, size)
  if (order === '>') swapBytes(data, text ? 4 : code.startsWith('c') ? size / 2 : size)
  if (!text) return { dtype: DTYPES[code]!.dtype, dims, data }
  const strings = Array.from({ length: count }, (_, i) => decodeText(data.subarray(i * size, (i + 1) * size), text[1]!))
  return { dtype: 'string', dims, strings }
}

/** Column-major elements of `size` bytes -> row-major. */
function toRowMajor(data: Uint8Array, dims: readonly number[], size: number): Uint8Array {
  const result = new Uint8Array(data.length)
  const index = dims.map(() => 0)
  const strides = dims.map((_, axis) => dims.slice(0, axis).reduce((product, dim) => product * dim, 1))
  for (let to = 0; to < data.length; to += size) {
    const from = index.reduce((sum, at, axis) => sum + at * strides[axis]!, 0) * size
    result.set(data.subarray(from, from + size), to)
    for (let axis = dims.length - 1; axis >= 0 && ++index[axis]! === dims[axis]; axis--) index[axis] = 0
  }
  return result
}

function swapBytes(data: Uint8Array, size: number): void {
  for (let at = 0; at < data.length; at += size) data.subarray(at, at + size).reverse()
}

/** NumPy pads texts with zeros: code points of 4 bytes (`U`) or bytes (`S`). */
function decodeText(bytes: Uint8Array, kind: string): string {
  if (kind === 'S') return Buffer.from(bytes).toString('utf8').replace(/\0+$/, '')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const points = Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(i * 4, true))
  return String.fromCodePoint(...points).replace(/\0+$/, '')
}

function invalid(what: string, cause?: unknown): OnnxError {
  return new OnnxError('NPY_INVALID', what, { hint: 'Save it again with numpy.save or numpy.savez.', cause })
}
