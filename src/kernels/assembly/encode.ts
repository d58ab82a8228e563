/**
 * Codes of `size` floats (a multiple of 16) at `x`, one byte each: x * inverse + zero, clipped to 0..last and rounded with
 * halves up. The product and the sum are rounded apart, as in ONNX Runtime's block quantizer.
 */
export function encode(x: usize, size: usize, codes: usize, inverse: f32, zero: f32, last: f32): void {
  const r = f32x4.splat(inverse), z = f32x4.splat(zero), top = f32x4.splat(last)
  for (let i: usize = 0; i < size; i += 16) {
    const p = x + (i << 2)
    const a = code(v128.load(p), r, z, top), b = code(v128.load(p, 16), r, z, top)
    const c = code(v128.load(p, 32), r, z, top), d = code(v128.load(p, 48), r, z, top)
    v128.store(codes + i, i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_u(a, b), i16x8.narrow_i32x4_u(c, d)))
  }
}

@inline function code(x: v128, inverse: v128, zero: v128, top: v128): v128 {
  const v = f32x4.pmin(top, f32x4.pmax(f32x4.splat(0), f32x4.add(f32x4.mul(x, inverse), zero)))
  const even = f32x4.nearest(v)
  const tieDown = f32x4.eq(f32x4.sub(v, even), f32x4.splat(0.5)) // -1 where a half went down to an even number
  return v128.and(i32x4.sub(f32x4.add(even, f32x4.splat(12582912)), tieDown), i32x4.splat(0xff))
}
