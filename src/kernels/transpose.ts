import type { ByteReader } from './floats.ts'
import { bytesAt, frame } from './memory.ts'
import { wasm } from './module.ts'

/** Rows and columns of the squares that are transposed at a time. */
const SQUARE = 256

/**
 * Transposes a row-major `rows` x `columns` matrix of elements of 1, 2 or 4 bytes (raw bytes in, raw bytes out). The source
 * may be a reader, then it is read in pieces. Writes into `result` where given.
 */
export function transpose(
  source: Uint8Array | ByteReader,
  rows: number,
  columns: number,
  size: 1 | 2 | 4,
  result: Uint8Array<ArrayBuffer> = new Uint8Array(rows * columns * size),
): Uint8Array<ArrayBuffer> {
  if (source.byteLength !== rows * columns * size)
    throw new RangeError(`${source.byteLength} bytes are no ${rows} x ${columns} matrix of ${size}-byte elements`)
  frame((allocate) => {
    const kernels = wasm()
    const kernel = size === 4 ? kernels.transpose32 : size === 2 ? kernels.transpose16 : kernels.transpose8
    const from = allocate(SQUARE * SQUARE * size)
    const to = allocate(SQUARE * SQUARE * size)
    for (let row = 0; row < rows; row += SQUARE)
      for (let column = 0; column < columns; column += SQUARE) {
        const height = Math.min(SQUARE, rows - row)
        const width = Math.min(SQUARE, columns - column)
        for (let r = 0; r < height; r++) {
          const target = bytesAt(from + r * width * size, width * size)
          const offset = ((row + r) * columns + column) * size
          if (source instanceof Uint8Array) target.set(source.subarray(offset, offset + width * size))
          else source.read(target, offset)
        }
        kernel(from, height, width, width, to, height)
        for (let c = 0; c < width; c++)
          result.set(bytesAt(to + c * height * size, height * size), ((column + c) * rows + row) * size)
      }
  })
  return result
}

/**
 * Permutes the axes of a row-major tensor: axis `i` of the result is axis `permutation[i]` of `bytes` (as ONNX Transpose).
 * Elements have 1, 2, 4, 8 or 16 bytes. Throws a RangeError when shape, permutation and bytes do not go together.
 */
export function permute(
  bytes: Uint8Array,
  shape: readonly number[],
  permutation: readonly number[],
  size: 1 | 2 | 4 | 8 | 16,
): Uint8Array<ArrayBuffer> {
  const total = shape.reduce((a, b) => a * b, 1)
  if (bytes.length !== total * size)
    throw new RangeError(`${bytes.length} bytes are no tensor of shape [${shape}] with ${size}-byte elements`)
  if (permutation.length !== shape.length || [...permutation].sort((a, b) => a - b).some((axis, i) => axis !== i))
    throw new RangeError(`[${permutation}] does not permute ${shape.length} axes`)
  // wide elements are an innermost axis of narrower ones
  const unit = size === 1 || size === 2 ? size : 4
  const merged = size > 4 ? merge([...shape, size / 4], [...permutation, shape.length]) : merge(shape, permutation)
  return move(bytes, merged.shape, merged.permutation, unit)
}

/** Drops axes of length 1 and joins axes that stay neighbours. */
function merge(shape: readonly number[], permutation: readonly number[]): { shape: number[]; permutation: number[] } {
  const kept = permutation.filter((axis) => shape[axis] !== 1)
  const groups: number[][] = []
  for (const axis of kept) {
    const group = groups.at(-1)
    const previous = group?.at(-1)
    const adjacent =
      previous !== undefined && shape.slice(previous + 1, axis).every((dim) => dim === 1) && axis > previous
    if (adjacent) group!.push(axis)
    else groups.push([axis])
  }
  const bySource = [...groups].sort((a, b) => a[0]! - b[0]!)
  return {
    shape: bySource.map((group) => group.reduce((product, axis) => product * shape[axis]!, 1)),
    permutation: groups.map((group) => bySource.indexOf(group)),
  }
}

function move(
  bytes: Uint8Array,
  shape: readonly number[],
  permutation: readonly number[],
  size: 1 | 2 | 4,
): Uint8Array<ArrayBuffer> {
  const rank = shape.length
  if (rank < 2 || bytes.length === 0) return bytes.slice()
  const swapsLastTwo = permutation[rank - 1] === rank - 2 && permutation[rank - 2] === rank - 1
  if (swapsLastTwo && (rank === 2 || (rank === 3 && permutation[0] === 0))) {
    const [rows, columns] = shape.slice(-2) as [number, number]
    const matrix = rows * columns * size
    const result = new Uint8Array(bytes.length)
    for (let at = 0; at < bytes.length; at += matrix)
      transpose(bytes.subarray(at, at + matrix), rows, columns, size, result.subarray(at, at + matrix))
    return result
  }
  // elements move one by one, or in runs where the innermost axis stays innermost
  const Elements = size === 4 ? Uint32Array : size === 2 ? Uint16Array : Uint8Array
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice()
  const source = new Elements(aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.byteLength / size)
  const result = new Elements(source.length)
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1))
  const dims = permutation.map((axis) => shape[axis]!)
  const steps = permutation.map((axis) => strides[axis]!)
  const index = new Array<number>(rank).fill(0)
  const last = rank - 1
  const [length, step] = [dims[last]!, steps[last]!]
  let from = 0
  for (let to = 0; to < result.length; to += length) {
    if (step === 1 && length >= 32) result.set(source.subarray(from, from + length), to)
    else for (let i = 0; i < length; i++) result[to + i] = source[from + i * step]!
    // count on to the next line of the result
    for (let axis = last - 1; axis >= 0; axis--) {
      from += steps[axis]!
      if (++index[axis]! < dims[axis]!) break
      from -= index[axis]! * steps[axis]!
      index[axis] = 0
    }
  }
  return new Uint8Array(result.buffer)
}
