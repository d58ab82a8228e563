import { type BlockOptions, type LooseBlocks, quantizeBlocks, unpackZeroPoints } from '../../../../kernels/index.ts'
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
  const { blockSize, bits } = options
  const blocks = Math.ceil(length / blockSize)
  const middle = 2 ** (bits - 1)
  // Scales alone are taken over.
  const search: BlockOptions = { ...options, order: 'blocks', signed: false }
  const stride = Math.max(STRIDE, blockSize)
  const errors = new Float32Array(length * columns)
  /** Row by row. */
  const codes = new Uint8Array(blocks * blockSize * columns)
  const most = 2 ** bits - 1
  const scales = new Float32Array(columns * blocks)
  const zeroPoints = new Uint8Array(columns * blocks)
  for (let start = 0; start < length; start += stride) {
    const end = Math.min(length, start + stride)
    const wanted = weights.slice(start * columns, end * columns)
    if (start > 0) {
      const pieces = new Float32Array((end - start) * start)
      for (let k = start; k < end; k++)
        pieces.set(corrections.subarray(k * length, k * length + start), (k - start) * start)
      const moved = await products.multiply(pieces, errors.subarray(0, start * columns), start)
      for (let i = 0; i < wanted.length; i++) wanted[i]! += moved[i]!
    }
    for (let first = start; first < end; first += blockSize) {
      const last = Math.min(end, first + blockSize)
      const rows = { weights, columns, corrections, length, start, wanted, errors }
      // As they would be if no row of the block were rounded: the scale fits these.
      const smooth = new Float32Array((last - first) * columns)
      for (let k = first; k < last; k++) {
        const row = smooth.subarray((k - first) * columns, (k - first + 1) * columns)
        moveRow(rows, k, row)
        setErrors(rows, k, row)
      }
      const found = quantizeBlocks(smooth, { outer: 1, length: last - first, inner: columns }, search)
      const block = first / blockSize
      const zeros = found.zeroPoints ? unpackZeroPoints(found.zeroPoints, columns, 1, bits) : undefined
      for (let n = 0; n < columns; n++) {
        scales[n * blocks + block] = found.scales[n]!
        zeroPoints[n * blocks + block] = zeros ? zeros[n]! : middle
      }
      const row = new Float32Array(columns)
      for (let k = first; k < last; k++) {
        moveRow(rows, k, row)
        const rowCodes = codes.subarray(k * columns, (k + 1) * columns)
        for (let n = 0; n < columns; n++) {
          const scale = found.scales[n]!
          const zero = zeros ? zeros[n]! : middle
          const wanted = scale === 0 ? zero : Math.floor(row[n]! / scale + zero + 0.5)
          const code = wanted > 0 ? Math.min(wanted, most) : 0
          rowCodes[n] = code
          row[n] = (code - zero) * scale
        }
        setErrors(rows, k, row)
      }
      // What fills the last block up means zero.
      for (let k = last; k < first + blockSize; k++)
        for (let n = 0; n < columns; n++) codes[k * columns + n] = zeroPoints[n * blocks + block]!
    }
  }
  return { codes, scales, zeroPoints, blocks }
}

interface Rows {
  weights: Float32Array
  columns: number
  corrections: Float32Array
  length: number
  /** First row of the stride. */
  start: number
  /** Rows of the stride, moved by the errors of all rows before it. */
  wanted: Float32Array
  errors: Float32Array
}

/** Row `k` moved by the errors of all rows before it. */
function moveRow({ columns, corrections, length, start, wanted, errors }: Rows, k: number, row: Float32Array): void {
  row.set(wanted.subarray((k - start) * columns, (k - start + 1) * columns))
  for (let j = start; j < k; j++) {
    const by = corrections[k * length + j]!
    if (by === 0) continue
    const error = errors.subarray(j * columns, (j + 1) * columns)
    for (let n = 0; n < columns; n++) row[n]! += by * error[n]!
  }
}

function setErrors({ weights, columns, errors }: Rows, k: number, taken: Float32Array): void {
  const at = k * columns
  for (let n = 0; n < columns; n++) errors[at + n] = weights[at + n]! - taken[n]!
}
