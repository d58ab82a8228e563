// Minimum, maximum and finiteness of float32 data. NaN never wins a comparison here, so a range ignores NaN and the
// caller learns of it from `anyNonFinite`.

/** Widens the range `[min, max]` stored at `result` by `n` floats at `x`. */
export function minMaxRun(x: usize, n: i32, result: usize): void {
  let low = load<f32>(result)
  let high = load<f32>(result, 4)
  if (n >= 16) {
    let min0 = f32x4.splat(low), min1 = min0, min2 = min0, min3 = min0
    let max0 = f32x4.splat(high), max1 = max0, max2 = max0, max3 = max0
    const last = x + ((<usize>n - 16) << 2)
    let p = x
    while (true) {
      const a = v128.load(p), b = v128.load(p, 16), c = v128.load(p, 32), d = v128.load(p, 48)
      min0 = f32x4.pmin(min0, a); min1 = f32x4.pmin(min1, b); min2 = f32x4.pmin(min2, c); min3 = f32x4.pmin(min3, d)
      max0 = f32x4.pmax(max0, a); max1 = f32x4.pmax(max1, b); max2 = f32x4.pmax(max2, c); max3 = f32x4.pmax(max3, d)
      if (p == last) break
      p += 64
      if (p > last) p = last // the last block overlaps the one before it: seeing a value twice changes nothing
    }
    min0 = f32x4.pmin(f32x4.pmin(min0, min1), f32x4.pmin(min2, min3))
    max0 = f32x4.pmax(f32x4.pmax(max0, max1), f32x4.pmax(max2, max3))
    low = min(min(f32x4.extract_lane(min0, 0), f32x4.extract_lane(min0, 1)), min(f32x4.extract_lane(min0, 2), f32x4.extract_lane(min0, 3)))
    high = max(max(f32x4.extract_lane(max0, 0), f32x4.extract_lane(max0, 1)), max(f32x4.extract_lane(max0, 2), f32x4.extract_lane(max0, 3)))
  } else {
    for (let i = 0; i < n; i++) {
      const v = load<f32>(x + (<usize>i << 2))
      if (v < low) low = v
      if (v > high) high = v
    }
  }
  store<f32>(result, low)
  store<f32>(result, high, 4)
}

/** Widens the ranges at `results` (a pair of floats for each row) by the rows of a `rows` x `columns` block at `x`. */
export function minMaxRows(x: usize, rows: i32, columns: i32, results: usize): void {
  for (let r = 0; r < rows; r++) {
    minMaxRun(x, columns, results)
    x += <usize>columns << 2
    results += 8
  }
}

/** Widens per-column ranges (`mins`, `maxs`, `columns` floats each) by a row-major `rows` x `columns` block at `x`. */
export function minMaxColumns(x: usize, rows: i32, columns: i32, mins: usize, maxs: usize): void {
  const stride = <usize>columns << 2
  let c: usize = 0
  if (columns >= 16) {
    const last = stride - 64
    while (true) {
      let min0 = v128.load(mins + c), min1 = v128.load(mins + c, 16), min2 = v128.load(mins + c, 32), min3 = v128.load(mins + c, 48)
      let max0 = v128.load(maxs + c), max1 = v128.load(maxs + c, 16), max2 = v128.load(maxs + c, 32), max3 = v128.load(maxs + c, 48)
      let p = x + c
      for (let r = 0; r < rows; r++) {
        const a = v128.load(p), b = v128.load(p, 16), d = v128.load(p, 32), e = v128.load(p, 48)
        min0 = f32x4.pmin(min0, a); min1 = f32x4.pmin(min1, b); min2 = f32x4.pmin(min2, d); min3 = f32x4.pmin(min3, e)
        max0 = f32x4.pmax(max0, a); max1 = f32x4.pmax(max1, b); max2 = f32x4.pmax(max2, d); max3 = f32x4.pmax(max3, e)
        p += stride
      }
      v128.store(mins + c, min0); v128.store(mins + c, min1, 16); v128.store(mins + c, min2, 32); v128.store(mins + c, min3, 48)
      v128.store(maxs + c, max0); v128.store(maxs + c, max1, 16); v128.store(maxs + c, max2, 32); v128.store(maxs + c, max3, 48)
      if (c == last) return
      c += 64
      if (c > last) c = last
    }
  }
  for (; c < stride; c += 4) {
    let low = load<f32>(mins + c)
    let high = load<f32>(maxs + c)
    let p = x + c
    for (let r = 0; r < rows; r++) {
      const v = load<f32>(p)
      if (v < low) low = v
      if (v > high) high = v
      p += stride
    }
    store<f32>(mins + c, low)
    store<f32>(maxs + c, high)
  }
}

/** True (1) when some of `n` floats at `x` is NaN or infinite. */
export function anyNonFinite(x: usize, n: i32): i32 {
  const end = x + (<usize>n << 2)
  let seen = i32x4.splat(0)
  let p = x
  // v - v is +0 for every finite v and NaN otherwise
  for (const whole = x + (<usize>(n & ~15) << 2); p < whole; p += 64) {
    const a = v128.load(p), b = v128.load(p, 16), c = v128.load(p, 32), d = v128.load(p, 48)
    seen = v128.or(seen, v128.or(v128.or(f32x4.sub(a, a), f32x4.sub(b, b)), v128.or(f32x4.sub(c, c), f32x4.sub(d, d))))
  }
  if (v128.any_true(seen)) return 1
  for (; p < end; p += 4) {
    const v = load<f32>(p)
    if (v - v != 0) return 1
  }
  return 0
}

/** Adds the number of NaNs and of infinities among `n` floats at `x` to the two int32 at `result`. */
export function countNonFinite(x: usize, n: i32, result: usize): void {
  let nan = 0
  let infinite = 0
  for (let i = 0; i < n; i++) {
    const v = load<f32>(x + (<usize>i << 2))
    if (v != v) nan++
    else if (v - v != 0) infinite++
  }
  store<i32>(result, load<i32>(result) + nan)
  store<i32>(result, load<i32>(result, 4) + infinite, 4)
}
