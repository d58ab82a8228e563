// Conversions between float types, round to nearest even. NaN stays NaN: quiet, with its sign and the top of its payload.

const F16_INFINITY = 0x47800000 // the bits of 65536: whatever is as large or larger becomes infinite
const F16_NORMAL = 0x38800000 // the bits of 2^-14, the smallest normal half

@inline function halves(x: v128): v128 {
  const sign = v128.and(x, i32x4.splat(0x80000000))
  const a = v128.xor(x, sign)
  // normal: rebias the exponent and round by adding just under half a unit, or half of one where the result would be odd
  const odd = v128.and(i32x4.shr_u(a, 13), i32x4.splat(1))
  const normal = i32x4.shr_u(i32x4.add(i32x4.add(a, i32x4.splat(0xc8000fff)), odd), 13)
  // subnormal: adding 0.5 shifts the value into place and the addition rounds
  const subnormal = i32x4.sub(f32x4.add(a, f32x4.splat(0.5)), i32x4.splat(0x3f000000))
  // infinite and NaN
  const payload = v128.or(v128.and(i32x4.shr_u(a, 13), i32x4.splat(0x3ff)), i32x4.splat(0x7e00))
  const special = v128.bitselect(payload, i32x4.splat(0x7c00), i32x4.gt_s(a, i32x4.splat(0x7f800000)))
  let h = v128.bitselect(subnormal, normal, i32x4.lt_s(a, i32x4.splat(F16_NORMAL)))
  h = v128.bitselect(special, h, i32x4.ge_s(a, i32x4.splat(F16_INFINITY)))
  return v128.or(h, i32x4.shr_u(sign, 16))
}

/** float32 -> float16 of `n` values. Reads up to 7 values past the end and writes as many: both areas need that slack. */
export function f32ToF16(x: usize, n: i32, out: usize): void {
  for (let i: usize = 0; i < <usize>n; i += 8) {
    const p = x + (i << 2)
    v128.store(out + (i << 1), i16x8.narrow_i32x4_u(halves(v128.load(p)), halves(v128.load(p, 16))))
  }
}

/**
 * As `f32ToF16` for values that are known to end up finite, at half the cost. Stores five int32 at `result` from which the
 * caller learns whether they did and what was lost: the bits of the largest magnitude, those of the smallest non-zero
 * magnitude minus 1, the number of zeros, of halves that are zero, and of halves that are zero or subnormal. `n` is a
 * multiple of 8 (pad with zeros) and at most 2^18, the capacity of the counters.
 */
export function f32ToF16Plain(x: usize, n: i32, out: usize, result: usize): void {
  let largest = i32x4.splat(0), smallest = i32x4.splat(-1), zeros = i32x4.splat(0), zeroHalves = i16x8.splat(0), smallHalves = i16x8.splat(0)
  for (let i: usize = 0; i < <usize>n; i += 8) {
    const v = v128.load(x + (i << 2)), w = v128.load(x + (i << 2), 16)
    const a = v128.and(v, i32x4.splat(0x7fffffff)), b = v128.and(w, i32x4.splat(0x7fffffff))
    largest = i32x4.max_s(largest, i32x4.max_s(a, b))
    const a1 = i32x4.sub(a, i32x4.splat(1)), b1 = i32x4.sub(b, i32x4.splat(1)) // a zero becomes the largest number
    smallest = i32x4.min_u(smallest, i32x4.min_u(a1, b1))
    zeros = i32x4.add(zeros, i32x4.add(i32x4.shr_s(a1, 31), i32x4.shr_s(b1, 31)))
    const h = i16x8.narrow_i32x4_u(plainHalves(a), plainHalves(b))
    zeroHalves = i16x8.sub(zeroHalves, i16x8.eq(h, i16x8.splat(0)))
    smallHalves = i16x8.sub(smallHalves, i16x8.lt_s(h, i16x8.splat(0x400)))
    const signs = i16x8.narrow_i32x4_s(i32x4.shr_s(v, 16), i32x4.shr_s(w, 16))
    v128.store(out + (i << 1), v128.or(h, v128.and(signs, i16x8.splat(-0x8000))))
  }
  largest = i32x4.max_s(largest, swap64(largest))
  smallest = i32x4.min_u(smallest, swap64(smallest))
  store<i32>(result, max(i32x4.extract_lane(largest, 0), i32x4.extract_lane(largest, 1)))
  store<u32>(result, min(<u32>i32x4.extract_lane(smallest, 0), <u32>i32x4.extract_lane(smallest, 1)), 4)
  store<i32>(result, -sum32(zeros), 8)
  store<i32>(result, sum32(i32x4.extadd_pairwise_i16x8_u(zeroHalves)), 12)
  store<i32>(result, sum32(i32x4.extadd_pairwise_i16x8_u(smallHalves)), 16)
}

/** The halves of magnitudes below 65520, see `halves`. */
@inline function plainHalves(a: v128): v128 {
  const odd = v128.and(i32x4.shr_u(a, 13), i32x4.splat(1))
  const normal = i32x4.shr_u(i32x4.add(i32x4.add(a, i32x4.splat(0xc8000fff)), odd), 13)
  const subnormal = i32x4.sub(f32x4.add(a, f32x4.splat(0.5)), i32x4.splat(0x3f000000))
  return v128.bitselect(subnormal, normal, i32x4.lt_s(a, i32x4.splat(F16_NORMAL)))
}

@inline function swap64(v: v128): v128 {
  return i8x16.shuffle(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)
}

@inline function sum32(v: v128): i32 {
  return i32x4.extract_lane(v, 0) + i32x4.extract_lane(v, 1) + i32x4.extract_lane(v, 2) + i32x4.extract_lane(v, 3)
}

/**
 * Brings `n` floats into a range in place: finite values beyond `largest` become `largest`, non-zero ones below `smallest`
 * become `smallest`, signs kept; zero, infinite and NaN stay. Adds to five int32 at `result` how many were clipped, how
 * many raised, how many will round to a zero half (counted where not raised), how many will be subnormal halves, and how
 * many finite values round to an infinite half after clipping; widens the float32 there (offset 20) to the largest finite
 * magnitude seen. `n` must be a multiple of 4 (pad with zeros).
 */
export function limitToF16(x: usize, n: i32, largest: f32, smallest: f32, result: usize): void {
  const top = f32x4.splat(largest), bottom = f32x4.splat(smallest), zero = f32x4.splat(0), infinite = f32x4.splat(<f32>Infinity)
  let clipped = i32x4.splat(0), raised = clipped, flushed = clipped, subnormal = clipped, overflowed = clipped
  let magnitude = f32x4.splat(load<f32>(result, 20))
  for (let i: usize = 0; i < <usize>n; i += 4) {
    const p = x + (i << 2)
    const v = v128.load(p)
    const sign = v128.and(v, i32x4.splat(0x80000000))
    let a = v128.xor(v, sign)
    const finite = f32x4.lt(a, infinite)
    magnitude = f32x4.pmax(magnitude, v128.and(a, finite))
    const over = v128.and(f32x4.gt(a, top), finite)
    const under = v128.and(f32x4.lt(a, bottom), f32x4.gt(a, zero))
    a = v128.bitselect(top, a, over)
    a = v128.bitselect(bottom, a, under)
    clipped = i32x4.sub(clipped, over)
    raised = i32x4.sub(raised, under)
    const nonZero = f32x4.gt(a, zero)
    const lost = v128.and(f32x4.le(a, f32x4.splat(2.98023223876953125e-8)), nonZero)
    flushed = i32x4.sub(flushed, lost)
    // between 2^-25 (which rounds to zero) and the point from which a value rounds up to the smallest normal half
    subnormal = i32x4.sub(subnormal, v128.andnot(v128.and(f32x4.lt(a, f32x4.splat(6.10053539276123046875e-5)), nonZero), lost))
    overflowed = i32x4.sub(overflowed, v128.and(f32x4.ge(a, f32x4.splat(65520)), f32x4.lt(a, infinite)))
    v128.store(p, v128.or(a, sign))
  }
  add(result, clipped)
  add(result + 4, raised)
  add(result + 8, flushed)
  add(result + 12, subnormal)
  add(result + 16, overflowed)
  magnitude = f32x4.pmax(magnitude, swap64(magnitude))
  store<f32>(result, max(f32x4.extract_lane(magnitude, 0), f32x4.extract_lane(magnitude, 1)), 20)
}

@inline function add(at: usize, v: v128): void {
  store<i32>(at, load<i32>(at) + sum32(v))
}

@inline function floats(h: v128): v128 {
  const sign = i32x4.shl(v128.and(h, i32x4.splat(0x8000)), 16)
  const a = i32x4.shl(v128.and(h, i32x4.splat(0x7fff)), 13)
  const scaled = f32x4.mul(a, f32x4.splat(reinterpret<f32>(0x77800000))) // 2^112 rebiases, subnormals included
  const nan = v128.and(i32x4.gt_s(a, i32x4.splat(0x0f800000)), i32x4.splat(0x00400000))
  const special = v128.or(v128.or(a, i32x4.splat(0x7f800000)), nan)
  return v128.or(v128.bitselect(special, scaled, i32x4.ge_s(a, i32x4.splat(0x0f800000))), sign)
}

/** float16 -> float32 of `n` values, exact. Slack of 7 values as in `f32ToF16`. */
export function f16ToF32(x: usize, n: i32, out: usize): void {
  for (let i: usize = 0; i < <usize>n; i += 8) {
    const h = v128.load(x + (i << 1))
    v128.store(out + (i << 2), floats(i32x4.extend_low_i16x8_u(h)))
    v128.store(out + (i << 2), floats(i32x4.extend_high_i16x8_u(h)), 16)
  }
}

@inline function brains(x: v128): v128 {
  const odd = v128.and(i32x4.shr_u(x, 16), i32x4.splat(1))
  const rounded = i32x4.shr_u(i32x4.add(i32x4.add(x, i32x4.splat(0x7fff)), odd), 16)
  const quiet = v128.or(i32x4.shr_u(x, 16), i32x4.splat(0x40))
  return v128.bitselect(quiet, rounded, f32x4.ne(x, x))
}

/** float32 -> bfloat16 of `n` values. Slack of 7 values as in `f32ToF16`. */
export function f32ToBf16(x: usize, n: i32, out: usize): void {
  for (let i: usize = 0; i < <usize>n; i += 8) {
    const p = x + (i << 2)
    v128.store(out + (i << 1), i16x8.narrow_i32x4_u(brains(v128.load(p)), brains(v128.load(p, 16))))
  }
}

/** bfloat16 -> float32 of `n` values, exact. Slack of 7 values as in `f32ToF16`. */
export function bf16ToF32(x: usize, n: i32, out: usize): void {
  for (let i: usize = 0; i < <usize>n; i += 8) {
    const h = v128.load(x + (i << 1))
    v128.store(out + (i << 2), i32x4.shl(i32x4.extend_low_i16x8_u(h), 16))
    v128.store(out + (i << 2), i32x4.shl(i32x4.extend_high_i16x8_u(h), 16), 16)
  }
}

/** float64 -> float32 of `n` values. Slack of 1 value. */
export function f64ToF32(x: usize, n: i32, out: usize): void {
  for (let i: usize = 0; i < <usize>n; i += 2)
    v128.store64_lane(out + (i << 2), f32x4.demote_f64x2_zero(v128.load(x + (i << 3))), 0)
}

/** Scales as they will be stored: 0 float32, 1 float16, 2 bfloat16. */
export function roundScales(v: v128, type: i32): v128 {
  return type == 0 ? v : type == 1 ? floats(halves(v)) : i32x4.shl(brains(v), 16)
}
