/**
 * Adds to five float64 at `result`: sum(x * y), sum(x * x), sum(y * y), sum((x - y)^2); and widens the fifth to the
 * largest |x - y|, NaN left out. Double precision throughout.
 */
export function compare(x: usize, y: usize, n: i32, result: usize): void {
  let xy = f64x2.splat(0), xx = xy, yy = xy, dd = xy, most = xy
  const whole = <usize>(n & ~1)
  for (let i: usize = 0; i < whole; i += 2) {
    const a = f64x2.promote_low_f32x4(v128.load64_zero(x + (i << 2)))
    const b = f64x2.promote_low_f32x4(v128.load64_zero(y + (i << 2)))
    const d = f64x2.sub(a, b)
    xy = f64x2.add(xy, f64x2.mul(a, b))
    xx = f64x2.add(xx, f64x2.mul(a, a))
    yy = f64x2.add(yy, f64x2.mul(b, b))
    dd = f64x2.add(dd, f64x2.mul(d, d))
    most = f64x2.pmax(most, f64x2.abs(d))
  }
  let sxy = both(xy), sxx = both(xx), syy = both(yy), sdd = both(dd)
  let largest = max(f64x2.extract_lane(most, 0), f64x2.extract_lane(most, 1))
  if (n & 1) {
    const a = <f64>load<f32>(x + (whole << 2)), b = <f64>load<f32>(y + (whole << 2)), d = a - b
    sxy += a * b
    sxx += a * a
    syy += b * b
    sdd += d * d
    if (abs(d) > largest) largest = abs(d)
  }
  store<f64>(result, load<f64>(result) + sxy)
  store<f64>(result, load<f64>(result, 8) + sxx, 8)
  store<f64>(result, load<f64>(result, 16) + syy, 16)
  store<f64>(result, load<f64>(result, 24) + sdd, 24)
  store<f64>(result, max(load<f64>(result, 32), largest), 32)
}

@inline function both(v: v128): f64 {
  return f64x2.extract_lane(v, 0) + f64x2.extract_lane(v, 1)
}

/**
 * Counts `n` floats (their magnitudes with `magnitude`) into `bins` equal intervals over low..high, float64 counters at
 * `counts`. `perUnit` is bins / (high - low). The last bin includes `high`. Counts outside the range and NaN go to three
 * more counters: below, above, NaN.
 */
export function histogram(x: usize, n: i32, magnitude: i32, low: f64, high: f64, perUnit: f64, bins: i32, counts: usize): void {
  for (let i = 0; i < n; i++) {
    let v = <f64>load<f32>(x + (<usize>i << 2))
    if (magnitude) v = abs(v)
    let bin: i32
    if (v >= low && v <= high) bin = min(<i32>((v - low) * perUnit), bins - 1)
    else if (v < low) bin = bins
    else if (v > high) bin = bins + 1
    else bin = bins + 2
    const at = counts + (<usize>bin << 3)
    store<f64>(at, load<f64>(at) + 1)
  }
}
