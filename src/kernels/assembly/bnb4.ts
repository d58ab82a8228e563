// The 4-bit formats of bitsandbytes: each block is divided by its largest magnitude, and each quotient becomes the number
// of the nearest of 16 fixed values. Two codes to a byte, the earlier in the high nibble.

import { storeLanes, Work } from './group'

/** The method that `Work` names FP4 by; NF4 comes after it. */
const FP4 = 4

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

/** The byte of two neighbouring codes, in each lane. */
@inline function pair(p: usize, inverse: v128, type: i32): v128 {
  const v = f32x4.mul(v128.load(p), inverse), w = f32x4.mul(v128.load(p, 16), inverse)
  return type ? v128.or(i32x4.shl(nf4Codes(v), 4), nf4Codes(w)) : v128.or(i32x4.shl(fp4Codes(v), 4), fp4Codes(w))
}

/** Codes the group at `t`; the magnitudes of its blocks go where others have scales. */
export function codeBnb4(t: usize, work: Work, channel: i32, block: i32, lanes: i32): void {
  const end = t + (<usize>work.size << 4)
  let magnitude = f32x4.splat(0)
  for (let p = t; p < end; p += 16) magnitude = f32x4.pmax(magnitude, f32x4.abs(v128.load(p)))
  const at = channel * work.pitch + work.first + block
  storeLanes(work.scales + (<usize>at << 2), <usize>work.pitch << 2, lanes, magnitude)
  const inverse = v128.andnot(f32x4.div(f32x4.splat(1), magnitude), f32x4.eq(magnitude, f32x4.splat(0)))
  const type = work.method - FP4
  const bytes = <usize>work.size >> 1
  let target = work.codes + <usize>at * bytes
  for (; t < end; t += 128) {
    let word = pair(t + 96, inverse, type)
    word = v128.or(i32x4.shl(word, 8), pair(t + 64, inverse, type))
    word = v128.or(i32x4.shl(word, 8), pair(t + 32, inverse, type))
    word = v128.or(i32x4.shl(word, 8), pair(t, inverse, type))
    storeLanes(target, <usize>work.pitch * bytes, lanes, word)
    target += 4
  }
}
