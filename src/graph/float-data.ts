import { closeSync, openSync } from 'node:fs'
import type { ByteReader, FloatData, FloatType } from '../kernels/index.ts'
import { bytesOf, readFully } from '../onnx/bytes.ts'
import type { Tensor } from './tensor.ts'

const FLOAT_TYPES: readonly (string | undefined)[] = ['float32', 'float16', 'bfloat16', 'float64']

/** True if a tensor holds floats that the kernels read. */
export function holdsFloats(tensor: Tensor): boolean {
  return FLOAT_TYPES.includes(tensor.dtype)
}

/**
 * Gives `use` the data of a float tensor where it lies. Data in a file is read piece by piece, so that no more than a piece is
 * ever in memory.
 */
export function withFloats<T>(tensor: Tensor, use: (data: FloatData) => T): T {
  const dtype = tensor.dtype as FloatType
  const { source } = tensor
  const file = source instanceof Uint8Array ? undefined : source.file
  if (!file) return use({ dtype, bytes: bytesOf(source) })
  const fd = openSync(file.path, 'r')
  try {
    const reader: ByteReader = {
      byteLength: source.length,
      read: (target, offset) => readFully(fd, target, file.offset + offset, file.path),
    }
    return use({ dtype, bytes: reader })
  } finally {
    closeSync(fd)
  }
}
