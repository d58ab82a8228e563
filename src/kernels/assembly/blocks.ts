// Block-wise quantization. Every kernel takes `count` blocks of `size` floats (a multiple of 16) that lie one after the
// other at `x`, and writes a float32 scale, a zero point and `size` byte codes for each. A code q means (q - zero) * scale.

import { encode } from './encode'
import { findRange, high, low, sumLanes } from './lanes'
import { roundScale } from './float16'

/** The nearest whole number of a value that is not negative, halves up. */
@inline function roundUp(v: f32): f32 {
  const down = floor(v)
  return v - down >= 0.5 ? down + 1 : down
}

// the grid found for the block last looked at
let bestScale: f32 = 0
let bestZero: f32 = 0

/**
 * The grid of a block's range, as ONNX Runtime's block quantizer has it. Symmetric: the value of largest magnitude becomes
 * code 0, so the scale has the opposite sign of that value. Else: the range with zero included.
 */
function gridOfRange(symmetric: i32, last: f32, middle: f32): void {
  if (symmetric) {
    bestScale = (abs(high) > abs(low) ? high : low) / -middle
    bestZero = middle
  } else {
    const bottom = min(low, <f32>0)
    bestScale = (max(high, <f32>0) - bottom) / last
    bestZero = bestScale == 0 ? 0 : min(last, roundUp(-bottom / bestScale))
  }
}

/** Stores the grid of block `b`, the scale rounded to its type, and the codes. */
@inline function finish(b: usize, x: usize, size: usize, last: f32, scaleType: i32, scales: usize, zeroPoints: usize, codes: usize): void {
  const scale = roundScale(bestScale, scaleType)
  store<f32>(scales + (b << 2), scale)
  store<u8>(zeroPoints + b, <u8>bestZero)
  encode(x, size, codes + b * size, scale == 0 ? 0 : 1 / scale, bestZero, last)
}

/** Blocks by their ranges. `scaleType` is that of the stored scale: 0 float32, 1 float16, 2 bfloat16. */
export function blocksMinMax(x: usize, count: i32, size: i32, bits: i32, symmetric: i32, scaleType: i32, scales: usize, zeroPoints: usize, codes: usize): void {
  const last = <f32>((1 << bits) - 1)
  const middle = <f32>(1 << (bits - 1))
  for (let b: usize = 0; b < <usize>count; b++) {
    const p = x + ((b * <usize>size) << 2)
    findRange(p, size)
    gridOfRange(symmetric, last, middle)
    finish(b, p, size, last, scaleType, scales, zeroPoints, codes)
  }
}

/** What the best grid found so far takes off the error. */
let bestGain: f32 = 0

/**
 * Rounds a block to the grid of step `scale` and fits the scale to the codes by least squares. With d = q - zero, the
 * error sum(h * (w - s * d)^2) is least at s = sum(h w d) / sum(h d d), where it is smaller than sum(h w w) by the gain
 * sum(h w d)^2 / sum(h d d); `h` are the importances.
 */
@inline function tryGrid(x: usize, size: usize, importance: usize, scale: f32, zero: f32, last: f32): void {
  const inverse = f32x4.splat(1 / scale), bottom = f32x4.splat(-zero), top = f32x4.splat(last - zero)
  let along = f32x4.splat(0), square = f32x4.splat(0)
  for (let i: usize = 0; i < size; i += 4) {
    const w = v128.load(x + (i << 2))
    const d = f32x4.pmin(top, f32x4.pmax(bottom, f32x4.nearest(f32x4.mul(w, inverse))))
    const weighted = f32x4.mul(d, v128.load(importance + (i << 2)))
    along = f32x4.add(along, f32x4.mul(w, weighted))
    square = f32x4.add(square, f32x4.mul(d, weighted))
  }
  const wd = sumLanes(along), dd = sumLanes(square)
  if (dd <= 0) return
  const gain = wd * wd / dd
  if (gain > bestGain) {
    bestGain = gain
    bestScale = wd / dd
    bestZero = zero
  }
}

/**
 * As `blocksMinMax`, but searches the scale and zero point with the least squared error: `steps` shrunken ranges down to
 * `least` of the whole range, zero points next to the natural one (or, symmetric, both signs of the scale), each refined by
 * least squares. `weighted` lets large values count for more, by sqrt(mean(w^2)) + |w|. `importance` is room for `size`
 * floats.
 */
export function blocksSearch(x: usize, count: i32, size: i32, bits: i32, symmetric: i32, scaleType: i32, scales: usize, zeroPoints: usize, codes: usize, importance: usize, weighted: i32, steps: i32, least: f32): void {
  const last = <f32>((1 << bits) - 1)
  const middle = <f32>(1 << (bits - 1))
  const n = <usize>size
  for (let i: usize = 0; i < n; i++) store<f32>(importance + (i << 2), 1)
  for (let b: usize = 0; b < <usize>count; b++) {
    const p = x + ((b * n) << 2)
    findRange(p, n)
    if (weighted) weigh(p, n, importance)
    bestGain = 0
    gridOfRange(symmetric, last, middle)
    const magnitude = max(abs(low), abs(high))
    const bottom = min(low, <f32>0), top = max(high, <f32>0)
    // beyond these bounds the squared sums leave the range of float32: there the range must do
    if (magnitude > 1e-9 && magnitude < 1e6) {
      if (symmetric) {
        // the widest grid reaches the largest value from the side that has one code less
        const widest = magnitude / (middle - 1)
        for (let i = 0; i < steps; i++) {
          const scale = widest * (1 - (1 - least) * <f32>i / <f32>steps)
          tryGrid(p, n, importance, scale, middle, last)
          tryGrid(p, n, importance, -scale, middle, last)
        }
      } else {
        const step = (top - bottom) / last
        const natural = roundUp(-bottom / step)
        for (let zero = max(<f32>0, natural - 1); zero <= min(last, natural + 1); zero++) {
          // a neighbouring zero point needs a wider step to reach both ends
          const widest = max(zero > 0 ? -bottom / zero : <f32>0, last > zero ? top / (last - zero) : <f32>0)
          const start = min(widest, step * 1.25)
          for (let i = 0; i < steps; i++) tryGrid(p, n, importance, start * (1 - (1 - least) * <f32>i / <f32>steps), zero, last)
        }
      }
      // rounding to the fitted grid and fitting again can only reduce the error
      for (let i = 0; i < 3; i++) {
        const before = bestGain
        tryGrid(p, n, importance, bestScale, bestZero, last)
        if (bestGain <= before) break
      }
    }
    finish(b, p, n, last, scaleType, scales, zeroPoints, codes)
  }
}

function weigh(x: usize, n: usize, importance: usize): void {
  let square = f32x4.splat(0)
  for (let i: usize = 0; i < n; i += 4) {
    const w = v128.load(x + (i << 2))
    square = f32x4.add(square, f32x4.mul(w, w))
  }
  const root = f32x4.splat(sqrt(sumLanes(square) / <f32>n))
  for (let i: usize = 0; i < n; i += 4) v128.store(importance + (i << 2), f32x4.add(root, f32x4.abs(v128.load(x + (i << 2)))))
}
