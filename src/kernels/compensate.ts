import { type BlockOptions, settingsOf } from './blocks.ts'
import { bytesAt, floatsAt, frame, intsAt } from './memory.ts'
import { wasm } from './module.ts'
import { openWork } from './work.ts'

/** Neighbouring rows of a matrix that is quantized along its columns. All matrices row by row. */
export interface RowsToQuantize {
  /** [rows, columns] */
  readonly weights: Float32Array
  /** [rows, columns]: the weights, moved by the errors of all rows before these. */
  readonly wanted: Float32Array
  /** [rows, rows]: by how much the error of a row moves each later one; only what lies below the diagonal is read. */
  readonly corrections: Float32Array
  readonly columns: number
}

/** What became of them; blocks are those of `blockSize` rows, the last one may have fewer. */
export interface QuantizedRows {
  /** [rows, columns], a byte each. */
  readonly codes: Uint8Array<ArrayBuffer>
  /** [rows, columns]: weights less what they have become. */
  readonly errors: Float32Array<ArrayBuffer>
  /** [blocks, columns] */
  readonly scales: Float32Array<ArrayBuffer>
  /** [blocks, columns], a byte each; the middle code if symmetric. */
  readonly zeroPoints: Uint8Array<ArrayBuffer>
}

/** Columns that are quantized at a time. */
const WIDE = 16

/**
 * Quantizes rows one after the other, each moved so that it makes up for the errors of those before it. The scale and zero point of a
 * block are found when its turn comes, on its rows as they would be if none of them were rounded. Not with `hqq`.
 */
export function compensate(
  { weights, wanted, corrections, columns }: RowsToQuantize,
  options: BlockOptions,
): QuantizedRows {
  const rows = weights.length / columns
  const { blockSize } = options
  const blocks = Math.ceil(rows / blockSize)
  const wide = Math.ceil(columns / WIDE) * WIDE
  return frame((allocate) => {
    const work = openWork(allocate, settingsOf(options, blockSize))
    const at = {
      weights: allocate(rows * wide * 4),
      wanted: allocate(rows * wide * 4),
      corrections: allocate(rows * rows * 4),
      errors: allocate(rows * wide * 4),
      scales: allocate(blocks * wide * 4),
      zeroPoints: allocate(blocks * wide),
      codes: allocate(rows * wide),
    }
    const fields = allocate(40)
    put(weights, columns, at.weights, wide)
    put(wanted, columns, at.wanted, wide)
    floatsAt(at.corrections, rows * rows).set(corrections)
    // the order of `Rows` in assembly/compensate.ts
    intsAt(fields, 10).set([work.address, rows, wide, ...Object.values(at)])
    wasm().compensate(fields)
    return {
      codes: cropped(bytesAt(at.codes, rows * wide), wide, columns),
      errors: cropped(floatsAt(at.errors, rows * wide), wide, columns),
      scales: cropped(floatsAt(at.scales, blocks * wide), wide, columns),
      zeroPoints: cropped(bytesAt(at.zeroPoints, blocks * wide), wide, columns),
    }
  })
}

/** Copies a matrix in, its rows filled up with zeros. */
function put(matrix: Float32Array, columns: number, pointer: number, wide: number): void {
  const rows = matrix.length / columns
  const target = floatsAt(pointer, rows * wide)
  if (columns === wide) {
    target.set(matrix)
    return
  }
  target.fill(0)
  for (let row = 0; row < rows; row++) target.set(matrix.subarray(row * columns, (row + 1) * columns), row * wide)
}

/** The first `columns` of every `wide` elements. */
function cropped<T extends Uint8Array<ArrayBuffer> | Float32Array<ArrayBuffer>>(
  matrix: T,
  wide: number,
  columns: number,
): T {
  if (columns === wide) return matrix.slice() as T
  const rows = matrix.length / wide
  const result = new (matrix.constructor as new (length: number) => T)(rows * columns)
  for (let row = 0; row < rows; row++) result.set(matrix.subarray(row * wide, row * wide + columns), row * columns)
  return result
}

/**
 * Makes the last rows of a triangular factor of what the rows below leave of a matrix, in place: `rest` has `rest.length / length`
 * rows, and the first of them has its diagonal at column `first`. The factor G is lower triangular, with GᵀG the matrix.
 *
 * @returns false if the matrix is not positive definite
 */
export function factorRows(rest: Float32Array, length: number, first: number): boolean {
  return frame((allocate) => {
    const pointer = allocate(rest.byteLength)
    floatsAt(pointer, rest.length).set(rest)
    const done = wasm().factorRows(pointer, rest.length / length, length, first) !== 0
    rest.set(floatsAt(pointer, rest.length))
    return done
  })
}
