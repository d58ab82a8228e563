// Linear quantization: q = clip(roundHalfEven(x / scale) + zeroPoint). The quotient is clipped before it is rounded,
// which gives the same integer (the bounds are integers) and lets the rounding be done by adding 1.5 * 2^23, after which
// the low bits of the float are the integer. NaN becomes the lower bound, as in ONNX Runtime.

const MAGIC: f32 = 12582912

@inline function codes(x: v128, scale: v128, low: v128, high: v128, zeroPoint: v128, mask: v128): v128 {
  const v = f32x4.pmin(high, f32x4.pmax(low, f32x4.div(x, scale)))
  return v128.and(i32x4.add(f32x4.add(v, f32x4.splat(MAGIC)), zeroPoint), mask)
}

@inline function code(x: f32, scale: f32, low: f32, high: f32, zeroPoint: i32): i32 {
  let v = x / scale
  v = v > low ? v : low
  v = v < high ? v : high
  return reinterpret<i32>(v + MAGIC) + zeroPoint
}

/** Quantizes `n` floats at `x` to bytes at `out`; `low`..`high` is the integer range (signed or unsigned). */
export function quantizeRun8(x: usize, n: i32, out: usize, scale: f32, zeroPoint: i32, low: i32, high: i32): void {
  const lowest = <f32>(low - zeroPoint)
  const highest = <f32>(high - zeroPoint)
  if (n < 16) {
    for (let i = 0; i < n; i++) store<u8>(out + i, code(load<f32>(x + (<usize>i << 2)), scale, lowest, highest, zeroPoint))
    return
  }
  const s = f32x4.splat(scale), l = f32x4.splat(lowest), h = f32x4.splat(highest), z = i32x4.splat(zeroPoint), m = i32x4.splat(0xff)
  const last = <usize>n - 16
  let i: usize = 0
  while (true) {
    const p = x + (i << 2)
    const a = codes(v128.load(p), s, l, h, z, m), b = codes(v128.load(p, 16), s, l, h, z, m)
    const c = codes(v128.load(p, 32), s, l, h, z, m), d = codes(v128.load(p, 48), s, l, h, z, m)
    v128.store(out + i, i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_u(a, b), i16x8.narrow_i32x4_u(c, d)))
    if (i == last) return
    i += 16
    if (i > last) i = last
  }
}

/** As `quantizeRun8`, to 16-bit elements. */
export function quantizeRun16(x: usize, n: i32, out: usize, scale: f32, zeroPoint: i32, low: i32, high: i32): void {
  const lowest = <f32>(low - zeroPoint)
  const highest = <f32>(high - zeroPoint)
  if (n < 16) {
    for (let i = 0; i < n; i++)
      store<u16>(out + (<usize>i << 1), code(load<f32>(x + (<usize>i << 2)), scale, lowest, highest, zeroPoint))
    return
  }
  const s = f32x4.splat(scale), l = f32x4.splat(lowest), h = f32x4.splat(highest), z = i32x4.splat(zeroPoint), m = i32x4.splat(0xffff)
  const last = <usize>n - 16
  let i: usize = 0
  while (true) {
    const p = x + (i << 2)
    const a = codes(v128.load(p), s, l, h, z, m), b = codes(v128.load(p, 16), s, l, h, z, m)
    const c = codes(v128.load(p, 32), s, l, h, z, m), d = codes(v128.load(p, 48), s, l, h, z, m)
    v128.store(out + (i << 1), i16x8.narrow_i32x4_u(a, b))
    v128.store(out + (i << 1), i16x8.narrow_i32x4_u(c, d), 16)
    if (i == last) return
    i += 16
    if (i > last) i = last
  }
}

/**
 * Quantizes a row-major `rows` x `columns` block to bytes with one scale (float) and zero point (int32) per column.
 * `width` is the size of an output element: 1 or 2 bytes.
 */
export function quantizeColumns(x: usize, rows: i32, columns: i32, out: usize, scales: usize, zeroPoints: usize, low: i32, high: i32, width: i32): void {
  const stride = <usize>columns << 2
  const mask = i32x4.splat(width == 1 ? 0xff : 0xffff)
  const lowest = i32x4.splat(low), highest = i32x4.splat(high)
  let c: usize = 0
  if (columns >= 8) {
    const last = <usize>columns - 8
    while (true) {
      const s0 = v128.load(scales + (c << 2)), s1 = v128.load(scales + (c << 2), 16)
      const z0 = v128.load(zeroPoints + (c << 2)), z1 = v128.load(zeroPoints + (c << 2), 16)
      const l0 = f32x4.convert_i32x4_s(i32x4.sub(lowest, z0)), l1 = f32x4.convert_i32x4_s(i32x4.sub(lowest, z1))
      const h0 = f32x4.convert_i32x4_s(i32x4.sub(highest, z0)), h1 = f32x4.convert_i32x4_s(i32x4.sub(highest, z1))
      let p = x + (c << 2)
      let o = out + c * <usize>width
      const outStride = <usize>columns * <usize>width
      for (let r = 0; r < rows; r++) {
        const words = i16x8.narrow_i32x4_u(codes(v128.load(p), s0, l0, h0, z0, mask), codes(v128.load(p, 16), s1, l1, h1, z1, mask))
        if (width == 1) v128.store64_lane(o, i8x16.narrow_i16x8_u(words, words), 0)
        else v128.store(o, words)
        p += stride
        o += outStride
      }
      if (c == last) return
      c += 8
      if (c > last) c = last
    }
  }
  for (; c < <usize>columns; c++) {
    const scale = load<f32>(scales + (c << 2))
    const zeroPoint = load<i32>(zeroPoints + (c << 2))
    for (let r: usize = 0; r < <usize>rows; r++) {
      const at = r * <usize>columns + c
      const q = code(load<f32>(x + (at << 2)), scale, <f32>(low - zeroPoint), <f32>(high - zeroPoint), zeroPoint)
      if (width == 1) store<u8>(out + at, q)
      else store<u16>(out + (at << 1), q)
    }
  }
}

/** Packs `n` byte codes at `x` two to a byte at `out`, the earlier one in the low nibble; an odd tail is padded with 0. */
export function packNibbles(x: usize, n: i32, out: usize): void {
  const low = i16x8.splat(0x000f), high = i16x8.splat(0x00f0)
  let i: usize = 0
  for (; i + 32 <= <usize>n; i += 32) {
    const a = v128.load(x + i), b = v128.load(x + i, 16)
    v128.store(
      out + (i >> 1),
      i8x16.narrow_i16x8_u(
        v128.or(v128.and(a, low), v128.and(i16x8.shr_u(a, 4), high)),
        v128.or(v128.and(b, low), v128.and(i16x8.shr_u(b, 4), high)),
      ),
    )
  }
  for (; i < <usize>n; i += 2) {
    const second = i + 1 < <usize>n ? load<u8>(x + i, 1) : 0
    store<u8>(out + (i >> 1), (load<u8>(x + i) & 15) | (second << 4))
  }
}
