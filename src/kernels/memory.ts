import { wasm } from './module.ts'

/** Vector kernels may read and write this far past the end of a block. */
const SLACK = 64

let top = 0

/**
 * Runs `body` with a bump allocator over the kernels' memory; everything it allocated is free again afterwards. Frames
 * nest. Memory grows when it has to and is never given back, so blocks should be chunks and not whole tensors.
 */
export function frame<T>(body: (allocate: (byteLength: number) => number) => T): T {
  if (top === 0) top = align(wasm().heapBase())
  const mark = top
  try {
    return body(allocate)
  } finally {
    top = mark
  }
}

function allocate(byteLength: number): number {
  const { memory } = wasm()
  const pointer = top
  top = align(pointer + byteLength + SLACK)
  const missing = top - memory.buffer.byteLength
  if (missing > 0) memory.grow(Math.ceil(missing / 65536))
  return pointer
}

function align(pointer: number): number {
  return Math.ceil(pointer / 64) * 64
}

/** `byteLength` bytes of the kernels' memory. A view is good until the next allocation, which may move the memory. */
export function bytesAt(pointer: number, byteLength: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(wasm().memory.buffer, pointer, byteLength)
}

/** As `bytesAt`, `length` float32. */
export function floatsAt(pointer: number, length: number): Float32Array<ArrayBuffer> {
  return new Float32Array(wasm().memory.buffer, pointer, length)
}

/** As `bytesAt`, `length` int32. */
export function intsAt(pointer: number, length: number): Int32Array<ArrayBuffer> {
  return new Int32Array(wasm().memory.buffer, pointer, length)
}
