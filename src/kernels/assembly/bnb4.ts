// The 4-bit formats of bitsandbytes: each block is divided by its largest magnitude, and each quotient becomes the number
// of the nearest of 16 fixed values. Two codes to a byte, the earlier in the high nibble.

/** Half-way points between neighbouring values of NF4. */
const nf4: usize = memory.data<f32>([
  -0.8480964004993439, -0.6106329262256622, -0.4599952697753906, -0.33967943489551544, -0.23460740596055984,
  -0.13791173323988914, -0.045525018125772476, 0.03979014977812767, 0.1202552504837513, 0.2035212516784668,
  0.2920137718319893, 0.3893125355243683, 0.5016634166240692, 0.6427869200706482, 0.8614784181118011,
])
/** The same of the magnitudes of FP4: 0, 1/192, 1/6, 1/4, 1/3, 1/2, 2/3, 1. */
const fp4: usize = memory.data<f32>([0.00260417, 0.0859375, 0.20833333, 0.29166667, 0.4166667, 0.583333, 0.8333333])

@inline function nf4Codes(v: v128): v128 {
  let code = i32x4.splat(0)
  for (let i: usize = 0; i < 15; i++) code = i32x4.sub(code, f32x4.gt(v, v128.load32_splat(nf4 + (i << 2))))
  return code
}

@inline function fp4Codes(v: v128): v128 {
  const a = f32x4.abs(v)
  let rank = i32x4.splat(0)
  for (let i: usize = 0; i < 7; i++) rank = i32x4.sub(rank, f32x4.gt(a, v128.load32_splat(fp4 + (i << 2))))
  const code = v128.and(i8x16.swizzle(i8x16(0, 1, 6, 7, 4, 5, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0), rank), i32x4.splat(7))
  return v128.or(code, v128.and(f32x4.lt(v, f32x4.splat(0)), i32x4.splat(8)))
}

/**
 * Codes `count` blocks of `size` floats (a multiple of 16) at `x`: their largest magnitudes (float32) to `magnitudes`,
 * `size / 2` bytes each to `out`. `type` is 0 for FP4 and 1 for NF4.
 */
export function blocksBnb4(x: usize, count: i32, size: i32, type: i32, magnitudes: usize, out: usize): void {
  const n = <usize>size
  for (let b: usize = 0; b < <usize>count; b++) {
    const p = x + ((b * n) << 2)
    let most = f32x4.splat(0)
    for (let i: usize = 0; i < n; i += 4) most = f32x4.pmax(most, f32x4.abs(v128.load(p + (i << 2))))
    const magnitude = max(max(f32x4.extract_lane(most, 0), f32x4.extract_lane(most, 1)), max(f32x4.extract_lane(most, 2), f32x4.extract_lane(most, 3)))
    store<f32>(magnitudes + (b << 2), magnitude)
    const r = f32x4.splat(magnitude == 0 ? 0 : 1 / magnitude)
    const target = out + ((b * n) >> 1)
    for (let i: usize = 0; i < n; i += 8) {
      const v = f32x4.mul(v128.load(p + (i << 2)), r), w = f32x4.mul(v128.load(p + (i << 2), 16), r)
      const codes = type == 1 ? i16x8.narrow_i32x4_u(nf4Codes(v), nf4Codes(w)) : i16x8.narrow_i32x4_u(fp4Codes(v), fp4Codes(w))
      // 16-bit lanes e, o, e, o...: each pair becomes the byte e * 16 + o
      const pairs = i32x4.dot_i16x8_s(codes, i16x8(16, 1, 16, 1, 16, 1, 16, 1))
      const words = i16x8.narrow_i32x4_u(pairs, pairs)
      v128.store32_lane(target + (i >> 1), i8x16.narrow_i16x8_u(words, words), 0)
    }
  }
}
