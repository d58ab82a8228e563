import { factorRows } from '../../../../kernels/index.ts'
import type { Hessian } from './hessians.ts'
import { piece } from './piece.ts'
import type { Products } from './products.ts'

/** Rows that are worked on at a time. */
const BLOCK = 128
/** Ten times as much after each failure. */
const ATTEMPTS = 5

/**
 * The lower triangular matrix G with `GᵀG = H`, each row divided by its element on the diagonal: row k tells how errors of the weights
 * before k want weight k to move. This is the Cholesky factor from the last row to the first.
 *
 * @param relativeDamping what is added to the diagonal, relative to its mean
 * @returns undefined if the matrix is not finite
 */
export async function correctionsOf(
  { sums, length }: Hessian,
  relativeDamping: number,
  products: Products,
): Promise<Float32Array | undefined> {
  let mean = 0
  for (let k = 0; k < length; k++) mean += sums[k * length + k]! / length
  if (!Number.isFinite(mean)) return undefined
  if (mean === 0) return new Float32Array(length * length)
  for (let attempt = 0, damping = relativeDamping; attempt < ATTEMPTS; attempt++, damping *= 10) {
    const factor = await factorOf(sums, length, damping * mean, products)
    if (factor) return factor
  }
  return undefined
}

async function factorOf(
  sums: Float32Array,
  length: number,
  damping: number,
  products: Products,
): Promise<Float32Array | undefined> {
  const factor = new Float32Array(length * length)
  for (let end = length; end > 0; end -= Math.min(BLOCK, end)) {
    const start = Math.max(0, end - BLOCK)
    const rows = end - start
    // What the rows below do not explain yet: H minus the products of their columns.
    const rest = piece(sums, length, start, end, 0, end)
    const below = length - end
    if (below > 0) {
      const columns = new Float32Array(rows * below)
      for (let i = 0; i < below; i++)
        for (let r = 0; r < rows; r++) columns[r * below + i] = factor[(end + i) * length + start + r]!
      const explained = await products.multiply(columns, piece(factor, length, end, length, 0, end), below)
      for (let i = 0; i < rest.length; i++) rest[i]! -= explained[i]!
    }
    for (let r = 0; r < rows; r++) rest[r * end + start + r]! += damping
    if (!factorRows(rest, end, start)) return undefined
    for (let r = 0; r < rows; r++) factor.set(rest.subarray(r * end, (r + 1) * end), (start + r) * length)
  }
  for (let k = 0; k < length; k++) {
    const row = factor.subarray(k * length, k * length + k + 1)
    const root = row[k]!
    for (let j = 0; j <= k; j++) row[j]! /= root
  }
  return factor
}
