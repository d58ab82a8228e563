// Blocks are worked on four at a time, one to a lane: what belongs to one block never has to be summed up across lanes, and what is
// decided per block is decided for four at once. A group holds element k of its four blocks in vector k.

/** What `quantizeBlocks` works on. JavaScript writes these fields, each of four bytes, in this order. */
@unmanaged
export class Work {
  /** The floats: channel c, element k lies at `x + 4 * (c * channelStride + k * elementStride)`; one of the strides is 1. */
  x: usize
  channels: i32
  length: i32
  channelStride: i32
  elementStride: i32
  /** Elements of a block: a multiple of 16. The last block of a channel is filled up with copies from its beginning. */
  size: i32
  bits: i32
  symmetric: i32
  /** Type of the stored scale: 0 float32, 1 float16, 2 bfloat16. */
  scaleType: i32
  /** See `quantizeBlocks`. */
  method: i32
  steps: i32
  least: f32
  /** Where results go: a scale (or magnitude) and a zero point per block, [channels, pitch], and the codes. */
  scales: usize
  zeroPoints: usize
  codes: usize
  /** Blocks from channel to channel. */
  pitch: i32
  /** Which of them comes first. */
  first: i32
  /** 0: packed codes, [channels, pitch, size * bits / 8]. Else a byte per code as the floats lie, this many to a row of channels. */
  codesStride: i32
  /** Room for a group, and for its importances. */
  group: usize
  importance: usize
}

/** Groups that are gathered at once: sixteen neighbouring floats are what memory gives at a time. */
export const WIDE = 4

// lanes with a value that is not finite, since `takeSeen`
let seen: v128 = i32x4.splat(0)

/** True (1) if some value that was gathered since the last call was not finite. */
export function takeSeen(): i32 {
  const any = v128.any_true(seen) ? 1 : 0
  seen = i32x4.splat(0)
  return any
}

/** Brings block `block` of up to `4 * WIDE` channels from `channel` on to `work.group`. */
export function gather(work: Work, channel: i32, block: i32): void {
  const channels = min(work.channels - channel, 4 * WIDE)
  const size = work.size
  const start = block * size
  const length = min(work.length - start, size)
  const from = work.x + (<usize>(channel * work.channelStride + start * work.elementStride) << 2)
  const groups = (channels + 3) >> 2
  const bytes = <usize>size << 4
  if (work.channelStride == 1 && channels == 4 * WIDE) gatherRows(from, <usize>work.elementStride << 2, length, work.group, bytes)
  else
    for (let g = 0; g < groups; g++) {
      const lanes = min(channels - 4 * g, 4)
      const p = from + (<usize>(4 * g * work.channelStride) << 2)
      const target = work.group + <usize>g * bytes
      if (lanes == 4 && work.elementStride == 1) gatherLines(p, <usize>work.channelStride << 2, length, target)
      else gatherLanes(p, lanes, work, length, target)
    }
  let any = seen
  for (let g = 0; g < groups; g++) {
    const target = work.group + <usize>g * bytes
    const filled = target + (<usize>length << 4)
    // v - v is +0 for every finite v and NaN otherwise
    for (let p = target; p < filled; p += 16) {
      const v = v128.load(p)
      any = v128.or(any, f32x4.sub(v, v))
    }
    // copies leave the range of a block as it is
    for (let p = filled; p < target + bytes; p += 16) v128.store(p, v128.load(p - (<usize>length << 4)))
  }
  seen = any
}

/** Sixteen channels that lie side by side. */
function gatherRows(p: usize, stride: usize, length: i32, target: usize, bytes: usize): void {
  for (let k = 0; k < length; k++) {
    v128.store(target, v128.load(p))
    v128.store(target + bytes, v128.load(p, 16))
    v128.store(target + bytes * 2, v128.load(p, 32))
    v128.store(target + bytes * 3, v128.load(p, 48))
    p += stride
    target += 16
  }
}

/** Four channels that lie one after the other. */
function gatherLines(p: usize, stride: usize, length: i32, target: usize): void {
  let k = 0
  for (; k + 4 <= length; k += 4) {
    const a = v128.load(p), b = v128.load(p + stride), c = v128.load(p + stride * 2), d = v128.load(p + stride * 3)
    const ab0 = v128.shuffle<f32>(a, b, 0, 4, 1, 5), ab1 = v128.shuffle<f32>(a, b, 2, 6, 3, 7)
    const cd0 = v128.shuffle<f32>(c, d, 0, 4, 1, 5), cd1 = v128.shuffle<f32>(c, d, 2, 6, 3, 7)
    v128.store(target, v128.shuffle<f32>(ab0, cd0, 0, 1, 4, 5))
    v128.store(target, v128.shuffle<f32>(ab0, cd0, 2, 3, 6, 7), 16)
    v128.store(target, v128.shuffle<f32>(ab1, cd1, 0, 1, 4, 5), 32)
    v128.store(target, v128.shuffle<f32>(ab1, cd1, 2, 3, 6, 7), 48)
    p += 16
    target += 64
  }
  for (; k < length; k++) {
    for (let lane: usize = 0; lane < 4; lane++) store<f32>(target + (lane << 2), load<f32>(p + stride * lane))
    p += 4
    target += 16
  }
}

/** Fewer than four channels; zeros in the other lanes. */
function gatherLanes(p: usize, lanes: i32, work: Work, length: i32, target: usize): void {
  memory.fill(target, 0, <usize>length << 4)
  for (let lane = 0; lane < lanes; lane++)
    for (let k = 0; k < length; k++)
      store<f32>(
        target + (<usize>k << 4) + (<usize>lane << 2),
        load<f32>(p + (<usize>(lane * work.channelStride + k * work.elementStride) << 2)),
      )
}

/** Stores the first `lanes` 32-bit lanes, `stride` bytes apart. */
@inline export function storeLanes(p: usize, stride: usize, lanes: i32, v: v128): void {
  v128.store32_lane(p, v, 0)
  if (lanes > 1) v128.store32_lane(p + stride, v, 1)
  if (lanes > 2) v128.store32_lane(p + stride * 2, v, 2)
  if (lanes > 3) v128.store32_lane(p + stride * 3, v, 3)
}

// the range of each block of a group, see `findRange`
export let low: v128 = f32x4.splat(0)
export let high: v128 = f32x4.splat(0)

/** Smallest and largest of each block of the group at `t`, into `low` and `high`. */
export function findRange(t: usize, size: i32): void {
  let min0 = v128.load(t), min1 = v128.load(t, 16), min2 = v128.load(t, 32), min3 = v128.load(t, 48)
  let max0 = min0, max1 = min1, max2 = min2, max3 = min3
  const end = t + (<usize>size << 4)
  for (let p = t + 64; p < end; p += 64) {
    const a = v128.load(p), b = v128.load(p, 16), c = v128.load(p, 32), d = v128.load(p, 48)
    min0 = f32x4.pmin(min0, a); min1 = f32x4.pmin(min1, b); min2 = f32x4.pmin(min2, c); min3 = f32x4.pmin(min3, d)
    max0 = f32x4.pmax(max0, a); max1 = f32x4.pmax(max1, b); max2 = f32x4.pmax(max2, c); max3 = f32x4.pmax(max3, d)
  }
  low = f32x4.min(f32x4.min(min0, min1), f32x4.min(min2, min3))
  high = f32x4.max(f32x4.max(max0, max1), f32x4.max(max2, max3))
}
