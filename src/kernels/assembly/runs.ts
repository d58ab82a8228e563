/** Multiplies `n` floats at `x` by `factor`, in place. */
export function scaleRun(x: usize, n: i32, factor: f32): void {
  const wide = f32x4.splat(factor)
  let p = x
  const vectors = x + (<usize>(n & ~3) << 2)
  for (; p < vectors; p += 16) v128.store(p, f32x4.mul(v128.load(p), wide))
  const end = x + (<usize>n << 2)
  for (; p < end; p += 4) store<f32>(p, load<f32>(p) * factor)
}

/** Sum of the squares of `n` floats at `x`, in double precision. */
export function squaresRun(x: usize, n: i32): f64 {
  let wide = f64x2.splat(0)
  let p = x
  const vectors = x + (<usize>(n & ~3) << 2)
  for (; p < vectors; p += 16) {
    const v = v128.load(p)
    const low = f64x2.promote_low_f32x4(v)
    const high = f64x2.promote_low_f32x4(v128.shuffle<f32>(v, v, 2, 3, 2, 3))
    wide = f64x2.add(wide, f64x2.add(f64x2.mul(low, low), f64x2.mul(high, high)))
  }
  let sum = f64x2.extract_lane(wide, 0) + f64x2.extract_lane(wide, 1)
  const end = x + (<usize>n << 2)
  for (; p < end; p += 4) {
    const v = <f64>load<f32>(p)
    sum += v * v
  }
  return sum
}
