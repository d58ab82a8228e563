// Magnitudes of sums of neighbours along the axis that a matrix product sums over. NaN never wins a comparison.

/** Raises `out` (`columns` floats) to the magnitudes of row 0 + row 1, row 2 + row 3, ... of `pairs` pairs of rows at `x`. */
export function pairAbsMaxRows(x: usize, pairs: i32, columns: i32, out: usize): void {
  const stride = <usize>columns << 2
  let c: usize = 0
  if (columns >= 16) {
    const last = stride - 64
    while (true) {
      let max0 = v128.load(out + c), max1 = v128.load(out + c, 16), max2 = v128.load(out + c, 32), max3 = v128.load(out + c, 48)
      let p = x + c
      for (let r = 0; r < pairs; r++) {
        const q = p + stride
        max0 = f32x4.pmax(max0, f32x4.abs(f32x4.add(v128.load(p), v128.load(q))))
        max1 = f32x4.pmax(max1, f32x4.abs(f32x4.add(v128.load(p, 16), v128.load(q, 16))))
        max2 = f32x4.pmax(max2, f32x4.abs(f32x4.add(v128.load(p, 32), v128.load(q, 32))))
        max3 = f32x4.pmax(max3, f32x4.abs(f32x4.add(v128.load(p, 48), v128.load(q, 48))))
        p = q + stride
      }
      v128.store(out + c, max0); v128.store(out + c, max1, 16); v128.store(out + c, max2, 32); v128.store(out + c, max3, 48)
      if (c == last) return
      c += 64
      if (c > last) c = last
    }
  }
  for (; c < stride; c += 4) {
    let high = load<f32>(out + c)
    let p = x + c
    for (let r = 0; r < pairs; r++) {
      const v = abs(load<f32>(p) + load<f32>(p + stride))
      if (v > high) high = v
      p += stride << 1
    }
    store<f32>(out + c, high)
  }
}

/** The larger of `high` and the magnitudes of element 0 + element 1, element 2 + element 3, ... of `n` floats at `x`. */
export function pairAbsMaxRun(x: usize, n: i32, high: f32): f32 {
  let i = 0
  if (n >= 8) {
    let wide = f32x4.splat(high)
    for (; i + 8 <= n; i += 8) {
      const a = v128.load(x + (<usize>i << 2)), b = v128.load(x + (<usize>i << 2), 16)
      wide = f32x4.pmax(wide, f32x4.abs(f32x4.add(v128.shuffle<f32>(a, b, 0, 2, 4, 6), v128.shuffle<f32>(a, b, 1, 3, 5, 7))))
    }
    high = max(max(f32x4.extract_lane(wide, 0), f32x4.extract_lane(wide, 1)), max(f32x4.extract_lane(wide, 2), f32x4.extract_lane(wide, 3)))
  }
  for (; i + 1 < n; i += 2) {
    const v = abs(load<f32>(x + (<usize>i << 2)) + load<f32>(x + (<usize>i << 2), 4))
    if (v > high) high = v
  }
  return high
}
