// Codes of a group: x * inverse + zero, clipped to 0..last and rounded with halves up. The product and the sum are rounded
// apart, as in ONNX Runtime's block quantizer.

import { storeLanes, Work } from './group'

@inline function code(p: usize, inverse: v128, zero: v128, top: v128): v128 {
  const v = f32x4.pmin(top, f32x4.pmax(f32x4.splat(0), f32x4.add(f32x4.mul(v128.load(p), inverse), zero)))
  const even = f32x4.nearest(v)
  const tieDown = f32x4.eq(f32x4.sub(v, even), f32x4.splat(0.5)) // -1 where a half went down to an even number
  return v128.and(i32x4.sub(f32x4.add(even, f32x4.splat(12582912)), tieDown), i32x4.splat(0xff))
}

/** Puts `code` below the codes that a word has already. */
@inline function below(word: v128, bits: i32, code: v128): v128 {
  return v128.or(i32x4.shl(word, bits), code)
}

/** Codes the group at `t`, block `block` of channels from `channel` on, of which `lanes` are real. */
export function encode(t: usize, work: Work, channel: i32, block: i32, lanes: i32, inverse: v128, zero: v128): void {
  const top = f32x4.splat(<f32>((1 << work.bits) - 1))
  if (work.codesStride) encodeInPlace(t, work, channel, block, lanes, inverse, zero, top)
  else {
    const block0 = <usize>((work.size * work.bits) >> 3)
    const stride = <usize>work.pitch * block0
    let target = work.codes + <usize>channel * stride + <usize>(work.first + block) * block0
    const end = t + (<usize>work.size << 4)
    if (work.bits == 4)
      for (; t < end; t += 128) {
        let word = code(t + 112, inverse, zero, top)
        word = below(word, 4, code(t + 96, inverse, zero, top))
        word = below(word, 4, code(t + 80, inverse, zero, top))
        word = below(word, 4, code(t + 64, inverse, zero, top))
        word = below(word, 4, code(t + 48, inverse, zero, top))
        word = below(word, 4, code(t + 32, inverse, zero, top))
        word = below(word, 4, code(t + 16, inverse, zero, top))
        storeLanes(target, stride, lanes, below(word, 4, code(t, inverse, zero, top)))
        target += 4
      }
    else if (work.bits == 8)
      for (; t < end; t += 64) {
        let word = code(t + 48, inverse, zero, top)
        word = below(word, 8, code(t + 32, inverse, zero, top))
        word = below(word, 8, code(t + 16, inverse, zero, top))
        storeLanes(target, stride, lanes, below(word, 8, code(t, inverse, zero, top)))
        target += 4
      }
    else
      for (; t < end; t += 256) {
        let word = code(t + 240, inverse, zero, top)
        for (let k = 224; k >= 0; k -= 16) word = below(word, 2, code(t + k, inverse, zero, top))
        storeLanes(target, stride, lanes, word)
        target += 4
      }
  }
}

/** A byte per code, as the floats lie, without those that fill up the last block. */
function encodeInPlace(t: usize, work: Work, channel: i32, block: i32, lanes: i32, inverse: v128, zero: v128, top: v128): void {
  const start = block * work.size
  const length = min(work.length - start, work.size)
  const stride = <usize>work.codesStride
  if (work.channelStride == 1) {
    let target = work.codes + <usize>start * stride + <usize>channel
    for (let k = 0; k < length; k++) {
      const words = i16x8.narrow_i32x4_u(code(t, inverse, zero, top), i32x4.splat(0))
      const bytes = i8x16.narrow_i16x8_u(words, words)
      if (lanes == 4) v128.store32_lane(target, bytes, 0)
      else for (let lane: usize = 0; lane < <usize>lanes; lane++) store<u8>(target + lane, i32x4.extract_lane(bytes, 0) >>> (<i32>lane << 3))
      t += 16
      target += stride
    }
  } else {
    let target = work.codes + <usize>channel * stride + <usize>start
    for (let k = 0; k < length; k++) {
      const v = code(t, inverse, zero, top)
      store<u8>(target, i32x4.extract_lane(v, 0))
      if (lanes > 1) store<u8>(target + stride, i32x4.extract_lane(v, 1))
      if (lanes > 2) store<u8>(target + stride * 2, i32x4.extract_lane(v, 2))
      if (lanes > 3) store<u8>(target + stride * 3, i32x4.extract_lane(v, 3))
      t += 16
      target++
    }
  }
}
