// Quantization of rows that make up for each other's errors (GPTQ): what happens within a few neighbouring rows.

import { roundScales } from './float16'
import { gridOfRange, scale, zero } from './grid'
import { findRange, Work } from './group'
import { search } from './search'

/** What `compensate` works on. JavaScript writes these fields, each of four bytes, in this order. Matrices lie row by row. */
@unmanaged
export class Rows {
  /** How blocks are searched, and room for sixteen of them. */
  work: Work
  /** Rows, of which `size` at a time share scales; the last block may have fewer. */
  rows: i32
  /** A multiple of 16. */
  columns: i32
  /** [rows, columns] */
  weights: usize
  /** [rows, columns]: the weights moved by the errors of all rows before these. */
  wanted: usize
  /** [rows, rows]: by how much the error of one row moves another, later one. */
  corrections: usize
  /** [rows, columns], made here: weights less what they become. */
  errors: usize
  /** [blocks, columns] each, made here: float32, and a byte. */
  scales: usize
  zeroPoints: usize
  /** [rows, columns] bytes, made here. */
  codes: usize
}

// sixteen columns of the row last moved
let row0: v128 = f32x4.splat(0)
let row1: v128 = f32x4.splat(0)
let row2: v128 = f32x4.splat(0)
let row3: v128 = f32x4.splat(0)

/** Row `k` moved by the errors of the rows before it. `p` is the place of its first column within a row. */
function moveRow(rows: Rows, k: i32, p: usize): void {
  const stride = <usize>rows.columns << 2
  const from = rows.wanted + <usize>k * stride + p
  let a = v128.load(from), b = v128.load(from, 16), c = v128.load(from, 32), d = v128.load(from, 48)
  let by = rows.corrections + (<usize>(k * rows.rows) << 2)
  const end = by + (<usize>k << 2)
  for (let e = rows.errors + p; by < end; by += 4, e += stride) {
    const factor = v128.load32_splat(by)
    a = f32x4.add(a, f32x4.mul(factor, v128.load(e)))
    b = f32x4.add(b, f32x4.mul(factor, v128.load(e, 16)))
    c = f32x4.add(c, f32x4.mul(factor, v128.load(e, 32)))
    d = f32x4.add(d, f32x4.mul(factor, v128.load(e, 48)))
  }
  row0 = a
  row1 = b
  row2 = c
  row3 = d
}

/** The error of four columns that become `taken`. */
@inline function setError(rows: Rows, at: usize, taken: v128): void {
  v128.store(rows.errors + at, f32x4.sub(v128.load(rows.weights + at), taken))
}

/** Codes four columns; `at` is their place in a matrix of bytes. Gives what they become. */
@inline function take(rows: Rows, at: usize, v: v128, scale: v128, zero: v128, last: v128): v128 {
  const nothing = f32x4.splat(0)
  const isEmpty = f32x4.eq(scale, nothing)
  const place = f32x4.floor(f32x4.add(f32x4.add(f32x4.div(v, scale), zero), f32x4.splat(0.5)))
  const code = v128.bitselect(zero, f32x4.pmin(last, f32x4.pmax(nothing, place)), isEmpty)
  const words = i16x8.narrow_i32x4_u(i32x4.trunc_sat_f32x4_u(code), i32x4.splat(0))
  v128.store32_lane(rows.codes + at, i8x16.narrow_i16x8_u(words, words), 0)
  return f32x4.mul(f32x4.sub(code, zero), scale)
}

/** Quantizes rows one after the other, each moved by the errors of those before it. A block's grid is found when its turn comes. */
export function compensate(rows: Rows): void {
  for (let c = 0; c < rows.columns; c += 16)
    for (let first = 0; first < rows.rows; first += rows.work.size) quantizeBlock(rows, c, first)
}

function quantizeBlock(rows: Rows, column: i32, first: i32): void {
  const work = rows.work
  const size = work.size, columns = rows.columns
  const end = min(rows.rows, first + size)
  const bytes = <usize>size << 4
  const p = <usize>column << 2
  const last = <f32>((1 << work.bits) - 1)
  // as they would be if no row of the block were rounded: the grid fits these
  for (let k = first; k < end; k++) {
    moveRow(rows, k, p)
    const at = (<usize>(k * columns) << 2) + p
    setError(rows, at, row0)
    setError(rows, at + 16, row1)
    setError(rows, at + 32, row2)
    setError(rows, at + 48, row3)
    const t = work.group + (<usize>(k - first) << 4)
    v128.store(t, row0)
    v128.store(t + bytes, row1)
    v128.store(t + bytes * 2, row2)
    v128.store(t + bytes * 3, row3)
  }
  const grids = (first / size) * columns + column
  for (let g: usize = 0; g < 4; g++) {
    const t = work.group + g * bytes
    // copies fill a last block up
    const filled = t + (<usize>(end - first) << 4)
    for (let to = filled; to < t + bytes; to += 16) v128.store(to, v128.load(to - (filled - t)))
    findRange(t, size)
    if (work.method == 0) gridOfRange(work.symmetric, last, <f32>(1 << (work.bits - 1)))
    else search(t, work, work.method == 2 ? 1 : 0)
    v128.store(rows.scales + (<usize>grids << 2) + (g << 4), roundScales(scale, work.scaleType))
    const words = i16x8.narrow_i32x4_u(i32x4.trunc_sat_f32x4_u(zero), i32x4.splat(0))
    v128.store32_lane(rows.zeroPoints + <usize>grids + (g << 2), i8x16.narrow_i16x8_u(words, words), 0)
    v128.store(t, zero)
  }
  const s = rows.scales + (<usize>grids << 2)
  const scale0 = v128.load(s), scale1 = v128.load(s, 16), scale2 = v128.load(s, 32), scale3 = v128.load(s, 48)
  const t = work.group
  const zero0 = v128.load(t), zero1 = v128.load(t + bytes), zero2 = v128.load(t + bytes * 2), zero3 = v128.load(t + bytes * 3)
  const top = f32x4.splat(last)
  for (let k = first; k < end; k++) {
    moveRow(rows, k, p)
    const byte = <usize>(k * columns + column), at = byte << 2
    setError(rows, at, take(rows, byte, row0, scale0, zero0, top))
    setError(rows, at + 16, take(rows, byte + 4, row1, scale1, zero1, top))
    setError(rows, at + 32, take(rows, byte + 8, row2, scale2, zero2, top))
    setError(rows, at + 48, take(rows, byte + 12, row3, scale3, zero3, top))
  }
}

/**
 * The last rows of a triangular factor (Cholesky, from the last row to the first), in place: `rows` rows of `length` floats, the
 * last of which has its diagonal at `first + rows - 1`; before, what the rows below leave of the matrix.
 *
 * @returns 0 if the matrix is not positive definite
 */
export function factorRows(x: usize, rows: i32, length: i32, first: i32): i32 {
  const stride = <usize>length << 2
  for (let r = rows - 1; r >= 0; r--) {
    const row = x + <usize>r * stride
    const k = first + r
    const end = row + (<usize>(k + 1) << 2)
    for (let below = r + 1; below < rows; below++) {
      let other = x + <usize>below * stride
      const by = load<f32>(other + (<usize>k << 2))
      if (by == 0) continue
      const factor = f32x4.splat(by)
      let p = row
      for (; p + 16 <= end; p += 16, other += 16) v128.store(p, f32x4.sub(v128.load(p), f32x4.mul(factor, v128.load(other))))
      for (; p < end; p += 4, other += 4) store<f32>(p, load<f32>(p) - by * load<f32>(other))
    }
    const pivot = load<f32>(row + (<usize>k << 2))
    if (!(pivot > 0)) return 0
    const inverse: f32 = 1 / sqrt(pivot)
    for (let p = row; p < end; p += 4) store<f32>(p, load<f32>(p) * inverse)
    memory.fill(end, 0, x + <usize>(r + 1) * stride - end)
  }
  return 1
}
