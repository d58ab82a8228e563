// Half-quadratic quantization of blocks.

import { encode } from './encode'
import { roundScales } from './float16'
import { high, low, storeLanes, Work } from './group'
import { transpose32 } from './layout'

// least-squares fits at Chebyshev points of log2(1 + m) (error 2e-5) and 2^f - 1 (4e-6) on 0..1, without constant term
const LOG1: f32 = 1.441879895806465, LOG2: f32 = -0.7088652177338818, LOG3: f32 = 0.4152455603893663, LOG4: f32 = -0.19351652460556934, LOG5: f32 = 0.04526829260390608
const EXP1: f32 = 0.6930175128594195, EXP2: f32 = 0.24144865972390844, EXP3: f32 = 0.051947952712225465, EXP4: f32 = 0.013581664115155698

/** v ^ -0.3 of positive values, to about 1e-5: 2 ^ (-0.3 * log2(v)) with short polynomials for mantissa and fraction. */
@inline function powMinus03(v: v128): v128 {
  const exponent = f32x4.convert_i32x4_s(i32x4.sub(i32x4.shr_u(v, 23), i32x4.splat(127)))
  const m = f32x4.sub(v128.or(v128.and(v, i32x4.splat(0x007fffff)), i32x4.splat(0x3f800000)), f32x4.splat(1))
  let log = f32x4.splat(LOG5)
  log = f32x4.add(f32x4.mul(log, m), f32x4.splat(LOG4))
  log = f32x4.add(f32x4.mul(log, m), f32x4.splat(LOG3))
  log = f32x4.add(f32x4.mul(log, m), f32x4.splat(LOG2))
  log = f32x4.add(f32x4.mul(log, m), f32x4.splat(LOG1))
  log = f32x4.mul(log, m)
  const t = f32x4.mul(f32x4.add(exponent, log), f32x4.splat(-0.3))
  const whole = f32x4.floor(t)
  const f = f32x4.sub(t, whole)
  let power = f32x4.splat(EXP4)
  power = f32x4.add(f32x4.mul(power, f), f32x4.splat(EXP3))
  power = f32x4.add(f32x4.mul(power, f), f32x4.splat(EXP2))
  power = f32x4.add(f32x4.mul(power, f), f32x4.splat(EXP1))
  power = f32x4.add(f32x4.mul(power, f), f32x4.splat(1))
  return i32x4.add(power, i32x4.shl(i32x4.trunc_sat_f32x4_s(whole), 23))
}

const ROUNDS = 20
const FIRST_BETA: f32 = 10, KAPPA: f32 = 1.01

// what the last step of `improve` found: the error of the zero point it was given, and the one to try next
let error: f32 = 0
let next: f32 = 0

/** One round for the block of `size` floats at `x`. */
@inline function improve(x: usize, size: usize, zero: f32, scale: v128, inverse: v128, top: v128, beta: f32): void {
  const z = f32x4.splat(zero), threshold = f32x4.splat(1 / beta), bottom = f32x4.splat(0)
  let errors = bottom, rests = bottom
  for (let k: usize = 0; k < size; k += 4) {
    const w = v128.load(x + (k << 2))
    const q = f32x4.pmin(top, f32x4.pmax(bottom, f32x4.nearest(f32x4.add(f32x4.mul(w, inverse), z))))
    const e = f32x4.sub(w, f32x4.mul(f32x4.sub(q, z), scale))
    const a = f32x4.abs(e)
    errors = f32x4.add(errors, a)
    const kept = f32x4.pmax(bottom, f32x4.sub(a, f32x4.mul(threshold, powMinus03(f32x4.add(a, f32x4.splat(1e-8))))))
    const shrunk = v128.or(kept, v128.and(e, i32x4.splat(0x80000000)))
    rests = f32x4.add(rests, f32x4.sub(q, f32x4.mul(f32x4.sub(w, shrunk), inverse)))
  }
  error = sumLanes(errors)
  next = sumLanes(rests) / <f32>size
}

@inline function sumLanes(v: v128): f32 {
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3))
}

/** The best zero point for a block at `x`. */
function zeroPoint(x: usize, size: usize, first: f32, scale: f32, inverse: f32, last: f32, scaleType: i32): f32 {
  const s = f32x4.splat(scale), r = f32x4.splat(inverse), top = f32x4.splat(last)
  let zero = first, best = first
  let bestError = <f32>Infinity
  let beta = FIRST_BETA
  for (let i = 0; i <= ROUNDS; i++) {
    improve(x, size, zero, s, r, top, beta)
    if (error >= bestError) break
    bestError = error
    best = zero
    zero = f32x4.extract_lane(roundScales(f32x4.splat(next), scaleType), 0)
    beta *= KAPPA
  }
  return best
}

/**
 * Half-quadratic quantization (Badri & Shaji, 2023): the scale comes from the range, and a float zero point is improved for at
 * most `ROUNDS` rounds: the rounding error is shrunk towards sparsity (norm 0.7, `beta` grows by `KAPPA`) and the zero
 * point becomes the mean of what then remains. Each block keeps the zero point of its least mean error. Scales and
 * zero points (float32) are rounded to the type of the scales. Blocks take different numbers of rounds, so here each has all
 * lanes to itself.
 */
export function halfQuadratic(t: usize, work: Work, channel: i32, block: i32, lanes: i32): void {
  const size = <usize>work.size
  const last = <f32>((1 << work.bits) - 1)
  const one = f32x4.splat(1)
  // the limit keeps reciprocals of halves finite
  const wide = f32x4.div(one, f32x4.min(f32x4.div(f32x4.splat(last), f32x4.sub(high, low)), f32x4.splat(2e4)))
  const scale = roundScales(v128.bitselect(wide, one, f32x4.gt(high, low)), work.scaleType)
  const inverse = f32x4.div(one, scale)
  const first = roundScales(f32x4.nearest(f32x4.mul(f32x4.neg(low), inverse)), work.scaleType)
  const apart = work.importance
  for (let k: usize = 0; k < size; k += 4) transpose32(t + (k << 4), 4, 4, 4, apart + (k << 2), <i32>size)
  const type = work.scaleType
  let best = f32x4.splat(zeroPoint(apart, size, f32x4.extract_lane(first, 0), f32x4.extract_lane(scale, 0), f32x4.extract_lane(inverse, 0), last, type))
  if (lanes > 1) best = f32x4.replace_lane(best, 1, zeroPoint(apart + (size << 2), size, f32x4.extract_lane(first, 1), f32x4.extract_lane(scale, 1), f32x4.extract_lane(inverse, 1), last, type))
  if (lanes > 2) best = f32x4.replace_lane(best, 2, zeroPoint(apart + (size << 3), size, f32x4.extract_lane(first, 2), f32x4.extract_lane(scale, 2), f32x4.extract_lane(inverse, 2), last, type))
  if (lanes > 3) best = f32x4.replace_lane(best, 3, zeroPoint(apart + (size << 2) * 3, size, f32x4.extract_lane(first, 3), f32x4.extract_lane(scale, 3), f32x4.extract_lane(inverse, 3), last, type))
  const at = <usize>(channel * work.pitch + work.first + block) << 2
  const stride = <usize>work.pitch << 2
  storeLanes(work.scales + at, stride, lanes, scale)
  storeLanes(work.zeroPoints + at, stride, lanes, best)
  encode(t, work, channel, block, lanes, inverse, best)
}
