// Arrays of an .npz file, for benches: C order, little endian.
import { readFileSync } from 'node:fs'
import { unzipSync } from 'fflate'

const ARRAYS = { '<f4': Float32Array, '<i8': BigInt64Array, '<i4': Int32Array }
const TYPES = { '<f4': 'float32', '<i8': 'int64', '<i4': 'int32' }

/** @returns {Record<string, { type: string, dims: number[], data: Float32Array | BigInt64Array | Int32Array }>} */
export function readNpz(file) {
  return Object.fromEntries(
    Object.entries(unzipSync(readFileSync(file))).map(([name, bytes]) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset)
      const start = bytes[6] === 1 ? 10 : 12
      const end = start + (bytes[6] === 1 ? view.getUint16(8, true) : view.getUint32(8, true))
      const header = new TextDecoder().decode(bytes.subarray(start, end))
      const [, descr] = /'descr': '([^']+)'/.exec(header)
      const [, shape] = /'shape': \(([^)]*)\)/.exec(header)
      const dims = shape.split(',').flatMap((text) => (text.trim() ? [Number(text)] : []))
      const data = new ARRAYS[descr](bytes.slice(end).buffer)
      return [name.replace(/\.npy$/, ''), { type: TYPES[descr], dims, data }]
    }),
  )
}
