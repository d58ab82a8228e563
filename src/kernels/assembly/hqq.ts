// Half-quadratic quantization of blocks; see blocks.ts for the layout.

import { encode } from './encode'
import { roundScale } from './float16'
import { findRange, high, low, sumLanes } from './lanes'

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

/**
 * Half-quadratic quantization (Badri & Shaji, 2023): the scale comes from the range, and a float zero point is improved for at
 * most `rounds` rounds: the rounding error is shrunk towards sparsity (norm 0.7, `beta` grows by `kappa`) and the zero
 * point becomes the mean of what then remains. Each block keeps the zero point of its least mean error. Scales and
 * zero points (float32) are rounded to `scaleType`.
 */
export function blocksHqq(x: usize, count: i32, size: i32, bits: i32, scaleType: i32, scales: usize, zeroPoints: usize, codes: usize, rounds: i32, firstBeta: f32, kappa: f32): void {
  const last = <f32>((1 << bits) - 1)
  const top = f32x4.splat(last), bottom = f32x4.splat(0)
  const n = <usize>size
  for (let b: usize = 0; b < <usize>count; b++) {
    const p = x + ((b * n) << 2)
    findRange(p, n)
    // the limit keeps reciprocals of halves finite
    const scale = roundScale(high > low ? 1 / min(last / (high - low), <f32>2e4) : 1, scaleType)
    const inverse: f32 = 1 / scale
    const s = f32x4.splat(scale), r = f32x4.splat(inverse)
    let zero = roundScale(nearest(-low * inverse), scaleType)
    let best = zero
    let bestError = <f32>Infinity
    let beta = firstBeta
    for (let i = 0; i <= rounds; i++) {
      const z = f32x4.splat(zero), threshold = f32x4.splat(1 / beta)
      let sum = f32x4.splat(0), error = f32x4.splat(0)
      for (let k: usize = 0; k < n; k += 4) {
        const w = v128.load(p + (k << 2))
        const q = f32x4.pmin(top, f32x4.pmax(bottom, f32x4.nearest(f32x4.add(f32x4.mul(w, r), z))))
        const e = f32x4.sub(w, f32x4.mul(f32x4.sub(q, z), s))
        const a = f32x4.abs(e)
        error = f32x4.add(error, a)
        const kept = f32x4.pmax(bottom, f32x4.sub(a, f32x4.mul(threshold, powMinus03(f32x4.add(a, f32x4.splat(1e-8))))))
        const shrunk = v128.or(kept, v128.and(e, i32x4.splat(0x80000000)))
        sum = f32x4.add(sum, f32x4.sub(q, f32x4.mul(f32x4.sub(w, shrunk), r)))
      }
      const total = sumLanes(error)
      if (total >= bestError) break
      bestError = total
      best = zero
      zero = roundScale(sumLanes(sum) / <f32>size, scaleType)
      beta *= kappa
    }
    store<f32>(scales + (b << 2), scale)
    store<f32>(zeroPoints + (b << 2), best)
    encode(p, size, codes + b * n, inverse, best, last)
  }
}
