import type { Tensor as OrtTensor } from 'onnxruntime-node'
import { Tensor } from '../graph/tensor.ts'
import type { DType } from '../onnx/dtypes.ts'
import { loadOrt } from './load.ts'

/** Typed array by element type, where onnxruntime-node has tensors of that type in JS. 4-bit types are packed two in a byte. */
const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
  int4: Uint8Array,
  uint4: Uint8Array,
} as const

/** True if tensors of this type can be fed to and read from onnxruntime-node. */
export function canCross(dtype: DType | undefined): boolean {
  return dtype !== undefined && (dtype === 'string' || dtype in ARRAYS)
}

/** Name of the typed array that onnxruntime takes for an element type; undefined where it takes none. */
export function arrayNameOf(dtype: DType | undefined): string | undefined {
  return ARRAYS[dtype as keyof typeof ARRAYS]?.name
}

/** The elements as onnxruntime takes them, over the same memory where alignment allows. Throws for types that cannot cross. */
export function elementsOf(tensor: Tensor): ArrayBufferView<ArrayBuffer> | string[] {
  const { dtype } = tensor
  if (dtype === 'string') return tensor.toStrings()
  const ArrayType = ARRAYS[dtype as keyof typeof ARRAYS]
  if (!ArrayType) throw new Error(`onnxruntime-node takes no ${dtype} tensors`)
  let bytes = tensor.bytes()
  if (bytes.byteOffset % ArrayType.BYTES_PER_ELEMENT || bytes.buffer instanceof SharedArrayBuffer)
    bytes = new Uint8Array(bytes)
  return new ArrayType(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length / ArrayType.BYTES_PER_ELEMENT)
}

/** A tensor for `session.run`. */
export async function toOrt(tensor: Tensor): Promise<OrtTensor> {
  const ort = await loadOrt()
  return new ort.Tensor(tensor.dtype as 'float32', elementsOf(tensor) as Float32Array, tensor.dims)
}

/** A tensor from a result of `session.run`, over the same memory. */
export function fromOrt(result: OrtTensor): Tensor {
  if (result.type === 'string') return Tensor.strings(result.dims, result.data as string[])
  const { buffer, byteOffset, byteLength } = result.data as Uint8Array
  return Tensor.of(result.type as DType, result.dims, new Uint8Array(buffer, byteOffset, byteLength))
}
