import { readFileSync } from 'node:fs'
import { inflateRawSync } from 'node:zlib'
import { Tensor } from '../../src/graph/tensor.ts'
import type { DType } from '../../src/onnx/dtypes.ts'

const TYPES: Record<string, DType> = {
  '<f4': 'float32',
  '<f8': 'float64',
  '<f2': 'float16',
  '|i1': 'int8',
  '|u1': 'uint8',
  '<i2': 'int16',
  '<u2': 'uint16',
  '<i4': 'int32',
  '<u4': 'uint32',
  '<i8': 'int64',
  '<u8': 'uint64',
  '|b1': 'bool',
}

/** The numeric arrays of an `.npz` file by name. Arrays of other types (strings, objects) are left out. */
export function readNpz(file: string): Map<string, Tensor> {
  const zip = readFileSync(file)
  const arrays = new Map<string, Tensor>()
  const end = zip.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'))
  let at = zip.readUInt32LE(end + 16)
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    const nameLength = zip.readUInt16LE(at + 28)
    const name = zip.toString('utf8', at + 46, at + 46 + nameLength)
    const local = zip.readUInt32LE(at + 42)
    const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28)
    const packed = zip.subarray(start, start + zip.readUInt32LE(at + 20))
    const array = readNpy(zip.readUInt16LE(at + 10) === 8 ? inflateRawSync(packed) : packed)
    if (array) arrays.set(name.replace(/\.npy$/, ''), array)
    at += 46 + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32)
  }
  return arrays
}

function readNpy(bytes: Buffer): Tensor | undefined {
  const wide = bytes[6]! > 1
  const start = (wide ? 12 : 10) + (wide ? bytes.readUInt32LE(8) : bytes.readUInt16LE(8))
  const header = bytes.toString('latin1', 10, start)
  const dtype = TYPES[/'descr': '([^']+)'/.exec(header)?.[1] ?? '']
  if (!dtype || /'fortran_order': True/.test(header)) return undefined
  const dims = /\(([^)]*)\)/
    .exec(header)![1]!
    .split(',')
    .filter((dim) => dim.trim())
    .map(Number)
  return Tensor.of(dtype, dims, new Uint8Array(bytes.subarray(start)))
}
