import { bytesAt, frame } from './memory.ts'
import { wasm } from './module.ts'

/** The float types that kernels read; all arithmetic is done in float32. */
export type FloatType = 'float32' | 'float16' | 'bfloat16' | 'float64'

/** Bytes that are read piece by piece, e.g. a range of a file: `read` fills `target` from `offset` on. */
export interface ByteReader {
  readonly byteLength: number
  /** Where the bytes lie in the kernels' memory, if they are there already. */
  readonly pointer?: number | undefined
  /** Set where the bytes are a range of a file: other threads can read them there. */
  readonly file?: { readonly path: string; readonly offset: number } | undefined
  read(target: Uint8Array, offset: number): void
}

/** Little-endian float data where it lies: a view at any offset (it need not be aligned), or a reader. */
export interface FloatData {
  readonly dtype: FloatType
  readonly bytes: Uint8Array | ByteReader
}

/** What kernels take: float data, or a plain Float32Array. */
export type FloatInput = FloatData | Float32Array

/** Bytes per element. */
export const FLOAT_BYTES: Readonly<Record<FloatType, number>> = { float32: 4, float16: 2, bfloat16: 2, float64: 8 }

/** Elements that go through the kernels' memory at a time: 128 KiB of float32, half of a common L2 cache. */
export const CHUNK = 32768

/** Number of elements of an input. */
export function lengthOf(input: FloatInput): number {
  if (input instanceof Float32Array) return input.length
  const size = FLOAT_BYTES[input.dtype]
  if (input.bytes.byteLength % size !== 0)
    throw new RangeError(`${input.bytes.byteLength} bytes are no whole number of ${input.dtype} elements`)
  return input.bytes.byteLength / size
}

/** The elements `start`..`start + count` of an input, where they lie. */
export function sliceFloats(input: FloatInput, start: number, count: number): FloatInput {
  if (input instanceof Float32Array) return input.subarray(start, start + count)
  const { dtype, bytes } = input
  const at = start * FLOAT_BYTES[dtype]
  const byteLength = count * FLOAT_BYTES[dtype]
  if (bytes instanceof Uint8Array) return { dtype, bytes: bytes.subarray(at, at + byteLength) }
  const file = bytes.file && { path: bytes.file.path, offset: bytes.file.offset + at }
  return { dtype, bytes: { byteLength, file, read: (target, offset) => bytes.read(target, at + offset) } }
}

/** Somewhere in the kernels' memory to bring pieces of an input to. */
export interface Loader {
  /** Address of the float32 values. */
  readonly pointer: number
  /** Puts `count` elements from `start` on, as float32, at `pointer` (plus `at` elements). */
  load(start: number, count: number, at?: number): void
}

/** A loader for pieces of at most `capacity` elements; lives as long as the frame that `allocate` belongs to. */
export function loader(input: FloatInput, allocate: (byteLength: number) => number, capacity: number): Loader {
  const pointer = allocate(capacity * 4)
  if (input instanceof Float32Array || input.dtype === 'float32') {
    const bytes =
      input instanceof Float32Array ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength) : input.bytes
    return {
      pointer,
      load: (start, count, at = 0) => readBytes(bytes, start * 4, bytesAt(pointer + at * 4, count * 4)),
    }
  }
  const { dtype, bytes } = input
  const size = FLOAT_BYTES[dtype]
  const raw = allocate(capacity * size)
  // conversions write whole vectors: a piece in the middle must not run over what lies behind it
  const converted = allocate(capacity * 4)
  return {
    pointer,
    load(start, count, at = 0) {
      readBytes(bytes, start * size, bytesAt(raw, count * size))
      const target = at === 0 ? pointer : converted
      const { f16ToF32, bf16ToF32, f64ToF32 } = wasm()
      const convert = dtype === 'float16' ? f16ToF32 : dtype === 'bfloat16' ? bf16ToF32 : f64ToF32
      convert(raw, count, target)
      if (at !== 0) bytesAt(pointer + at * 4, count * 4).set(bytesAt(converted, count * 4))
    },
  }
}

function readBytes(from: Uint8Array | ByteReader, offset: number, target: Uint8Array): void {
  if (from instanceof Uint8Array) target.set(from.subarray(offset, offset + target.length))
  else from.read(target, offset)
}

/** Visits an input in order, `size` elements at a time: `visit(address of float32 values, first element, count)`. */
export function forEachChunk(
  input: FloatInput,
  visit: (pointer: number, start: number, count: number) => void,
  size: number = CHUNK,
): void {
  const total = lengthOf(input)
  const resident =
    input instanceof Float32Array || input.dtype !== 'float32' || input.bytes instanceof Uint8Array
      ? undefined
      : input.bytes.pointer
  if (resident !== undefined) {
    for (let start = 0; start < total; start += size) visit(resident + start * 4, start, Math.min(size, total - start))
    return
  }
  frame((allocate) => {
    const chunk = loader(input, allocate, Math.min(size, total))
    for (let start = 0; start < total; start += size) {
      const count = Math.min(size, total - start)
      chunk.load(start, count)
      visit(chunk.pointer, start, count)
    }
  })
}

/** Inputs up to this size are brought into the kernels' memory as a whole. */
const LARGEST_RESIDENT = 1 << 24

/**
 * Gives `use` the input to read several times: float32 data of a file is brought into the kernels' memory once, where it stays
 * until `use` is done, unless it is large. Nobody may write to it.
 */
export function reread<T>(input: FloatInput, use: (input: FloatInput) => T): T {
  if (input instanceof Float32Array || input.dtype !== 'float32' || input.bytes instanceof Uint8Array) return use(input)
  const { bytes } = input
  const { byteLength } = bytes
  if (byteLength > LARGEST_RESIDENT) return use(input)
  return frame((allocate) => {
    const pointer = allocate(byteLength)
    bytes.read(bytesAt(pointer, byteLength), 0)
    const read = (target: Uint8Array, offset: number): void => target.set(bytesAt(pointer + offset, target.length))
    return use({ dtype: 'float32', bytes: { byteLength, pointer, read } })
  })
}

/** Copies an input out as float32. */
export function toFloat32(input: FloatInput): Float32Array<ArrayBuffer> {
  const out = new Float32Array(lengthOf(input))
  const bytes = new Uint8Array(out.buffer)
  forEachChunk(input, (pointer, start, count) => bytes.set(bytesAt(pointer, count * 4), start * 4))
  return out
}
