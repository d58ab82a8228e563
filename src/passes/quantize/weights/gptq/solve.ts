import { type BlockOptions, compensate, type LooseBlocks, transpose } from '../../../../kernels/index.ts'
import { piece } from './piece.ts'
import type { Products } from './products.ts'

/** Rows that are quantized between two products with all rows before; a multiple of the block size. */
const STRIDE = 64

/**
 * Quantizes a matrix row by row, each row moved so that it makes up for the errors of the rows before it, as far as the data lets it
 * (GPTQ, in the form that needs one triangular factor and no inverse). A block's scale and zero point are found when its turn
 * comes, on the rows as they are by then.
 *
 * @param weights [length, columns], row by row
 * @param corrections of `correctionsOf`
 */
export async function solve(
  weights: Float32Array,
  columns: number,
  corrections: Float32Array,
  options: BlockOptions,
  products: Products,
): Promise<LooseBlocks> {
  const length = weights.length / columns
  const { blockSize } = options
  const blocks = Math.ceil(length / blockSize)
  const stride = Math.max(STRIDE, blockSize)
  const errors = new Float32Array(length * columns)
  /** Row by row. */
  const codes = new Uint8Array(blocks * blockSize * columns)
  /** [blocks, columns] */
  const scales = new Float32Array(columns * blocks)
  const zeroPoints = new Uint8Array(columns * blocks)
  for (let start = 0; start < length; start += stride) {
    const end = Math.min(length, start + stride)
    const own = weights.subarray(start * columns, end * columns)
    let wanted = own
    if (start > 0) {
      const moved = await products.multiply(
        piece(corrections, length, start, end, 0, start),
        errors.subarray(0, start * columns),
        start,
      )
      wanted = moved
      for (let i = 0; i < own.length; i++) wanted[i]! += own[i]!
    }
    const found = compensate(
      { weights: own, wanted, corrections: piece(corrections, length, start, end, start, end), columns },
      options,
    )
    errors.set(found.errors, start * columns)
    codes.set(found.codes, start * columns)
    scales.set(found.scales, (start / blockSize) * columns)
    zeroPoints.set(found.zeroPoints, (start / blockSize) * columns)
  }
  // What fills the last block up means zero.
  const last = zeroPoints.subarray((blocks - 1) * columns)
  for (let k = length; k < blocks * blockSize; k++) codes.set(last, k * columns)
  return { codes, scales: byColumn(scales, blocks, 4), zeroPoints: byColumn(zeroPoints, blocks, 1), blocks }
}

/** A matrix of `rows` rows column by column. */
function byColumn<T extends Float32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>>(
  matrix: T,
  rows: number,
  size: 1 | 4,
): T {
  const bytes = new Uint8Array(matrix.buffer)
  const turned = transpose(bytes, rows, matrix.length / rows, size)
  return new (matrix.constructor as new (buffer: ArrayBuffer) => T)(turned.buffer)
}
