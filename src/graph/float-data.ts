import { closeSync, openSync } from 'node:fs'
import { type ByteReader, type FloatData, type FloatType, toFloat16, toFloat32 } from '../kernels/index.ts'
import { bytesOf, readFully } from '../onnx/bytes.ts'
import type { DType } from '../onnx/dtypes.ts'
import { Tensor } from './tensor.ts'

const FLOAT_TYPES: readonly (string | undefined)[] = ['float32', 'float16', 'bfloat16', 'float64']

/** True if a tensor holds floats that the kernels read. */
export function holdsFloats(tensor: Tensor): boolean {
  return FLOAT_TYPES.includes(tensor.dtype)
}

/** The data of a tensor where it lies, until it is closed. */
export interface OpenFloats {
  readonly data: FloatData
  close(): void
}

/** The data of a float tensor where it lies. Data in a file is read piece by piece, from a file that is open until `close`. */
export function openFloats(tensor: Tensor): OpenFloats {
  const dtype = tensor.dtype as FloatType
  const { source } = tensor
  const file = source instanceof Uint8Array ? undefined : source.file
  if (!file) return { data: { dtype, bytes: bytesOf(source) }, close() {} }
  const fd = openSync(file.path, 'r')
  const reader: ByteReader = {
    byteLength: source.length,
    file,
    read: (target, offset) => readFully(fd, target, file.offset + offset, file.path),
  }
  return { data: { dtype, bytes: reader }, close: () => closeSync(fd) }
}

/**
 * Gives `use` the data of a float tensor where it lies. Data in a file is read piece by piece, so that no more than a piece is
 * ever in memory.
 */
export function withFloats<T>(tensor: Tensor, use: (data: FloatData) => T): T {
  const floats = openFloats(tensor)
  try {
    return use(floats.data)
  } finally {
    floats.close()
  }
}

/** The same values in another float type, rounded to nearest even; values beyond a half's range become its largest. */
export function convertFloats(tensor: Tensor, dtype: DType): Tensor {
  if (tensor.dtype === dtype) return tensor
  return withFloats(tensor, (data) => {
    const values = dtype === 'float16' ? toFloat16(data).values : toFloat32(data)
    if (dtype === 'float16' || dtype === 'float32')
      return Tensor.of(dtype, tensor.dims, new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    return Tensor.from(dtype, tensor.dims, Array.from(values))
  })
}
