// The grid of each block of a group: a code q means (q - zero) * scale.

import { encode } from './encode'
import { roundScales } from './float16'
import { high, low, storeLanes, Work } from './group'

/** The nearest whole numbers of values that are not negative, halves up. */
@inline export function roundUp(v: v128): v128 {
  const down = f32x4.floor(v)
  return f32x4.add(down, v128.and(f32x4.ge(f32x4.sub(v, down), f32x4.splat(0.5)), f32x4.splat(1)))
}

// the grids found for the group last looked at
export let scale: v128 = f32x4.splat(0)
export let zero: v128 = f32x4.splat(0)

/** Where `which` has ones, the grids become these. */
@inline export function takeGrid(which: v128, newScale: v128, newZero: v128): void {
  scale = v128.bitselect(newScale, scale, which)
  zero = v128.bitselect(newZero, zero, which)
}

/**
 * The grids of the blocks' ranges, as ONNX Runtime's block quantizer has them. Symmetric: the value of largest magnitude becomes
 * code 0, so the scale has the opposite sign of that value. Else: the range with zero included.
 */
export function gridOfRange(symmetric: i32, last: f32, middle: f32): void {
  if (symmetric) {
    const largest = v128.bitselect(high, low, f32x4.gt(f32x4.abs(high), f32x4.abs(low)))
    scale = f32x4.div(largest, f32x4.splat(-middle))
    zero = f32x4.splat(middle)
  } else {
    const nothing = f32x4.splat(0)
    const bottom = f32x4.min(low, nothing)
    scale = f32x4.div(f32x4.sub(f32x4.max(high, nothing), bottom), f32x4.splat(last))
    const exact = f32x4.min(f32x4.splat(last), roundUp(f32x4.div(f32x4.neg(bottom), scale)))
    zero = v128.andnot(exact, f32x4.eq(scale, nothing))
  }
}

/** Stores the grids of the group at `t`, the scales rounded to their type, and the codes. */
export function finish(t: usize, work: Work, channel: i32, block: i32, lanes: i32): void {
  const rounded = roundScales(scale, work.scaleType)
  const at = channel * work.pitch + work.first + block
  storeLanes(work.scales + (<usize>at << 2), <usize>work.pitch << 2, lanes, rounded)
  const zeros = i32x4.trunc_sat_f32x4_u(zero)
  const p = work.zeroPoints + <usize>at, pitch = <usize>work.pitch
  store<u8>(p, i32x4.extract_lane(zeros, 0))
  if (lanes > 1) store<u8>(p + pitch, i32x4.extract_lane(zeros, 1))
  if (lanes > 2) store<u8>(p + pitch * 2, i32x4.extract_lane(zeros, 2))
  if (lanes > 3) store<u8>(p + pitch * 3, i32x4.extract_lane(zeros, 3))
  const nothing = f32x4.splat(0)
  const inverse = v128.andnot(f32x4.div(f32x4.splat(1), rounded), f32x4.eq(rounded, nothing))
  encode(t, work, channel, block, lanes, inverse, zero)
}
