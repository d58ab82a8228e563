import { type Zippable, zipSync } from 'fflate'
import type { DType } from '../dtypes.ts'
import { parseNpz } from '../npz.ts'
import type { AdapterTensor, EncodedAdapter } from './types.ts'

/** NumPy's codes of element types. */
const CODES: Partial<Record<DType, string>> = {
  bool: '|b1',
  int8: '|i1',
  uint8: '|u1',
  int16: '<i2',
  uint16: '<u2',
  int32: '<i4',
  uint32: '<u4',
  int64: '<i8',
  uint64: '<u8',
  float16: '<f2',
  float32: '<f4',
  float64: '<f8',
}

/** The weights of an `.npz` file. */
export function decodeNpz(bytes: Uint8Array): AdapterTensor[] {
  return [...parseNpz(bytes)].map(([name, array]) => {
    if (array.dtype === 'string') throw new Error(`"${name}" holds texts`)
    return { name, dtype: array.dtype, dims: array.dims, data: array.data }
  })
}

/**
 * Writes an `.npz` file without compression, so that the data can be read where they lie.
 * @throws Error for element types that NumPy does not have
 */
export function encodeNpz(tensors: readonly AdapterTensor[]): EncodedAdapter {
  const files: Zippable = {}
  for (const tensor of tensors) files[`${tensor.name}.npy`] = [npy(tensor), { level: 0, mtime: new Date(1980, 0, 1) }]
  const bytes = zipSync(files)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const offsets = new Map<string, number>()
  // Local headers: 30 bytes, name, extra field, data.
  for (let at = 0; at + 30 < bytes.length && view.getUint32(at, true) === 0x04034b50; ) {
    const nameLength = view.getUint16(at + 26, true)
    const start = at + 30 + nameLength + view.getUint16(at + 28, true)
    const name = new TextDecoder().decode(bytes.subarray(at + 30, at + 30 + nameLength)).replace(/\.npy$/, '')
    offsets.set(name, start + 10 + view.getUint16(start + 8, true))
    at = start + view.getUint32(at + 18, true)
  }
  return { bytes, offsets: tensors.map(({ name }) => offsets.get(name)!) }
}

function npy({ name, dtype, dims, data }: AdapterTensor): Uint8Array {
  const code = CODES[dtype]
  if (!code) throw new Error(`"${name}" is ${dtype}, which NumPy does not have`)
  const shape = dims.length === 1 ? `${dims[0]},` : dims.join(', ')
  const text = `{'descr': '${code}', 'fortran_order': False, 'shape': (${shape}), }`
  // Blanks up to a multiple of 64, then the end of the line.
  const header = `${text.padEnd(Math.ceil((10 + text.length + 1) / 64) * 64 - 11)}\n`
  const start = 10 + header.length
  const bytes = new Uint8Array(start + data.length)
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length & 0xff, header.length >> 8])
  bytes.set(new TextEncoder().encode(header), 10)
  bytes.set(data, start)
  return bytes
}
