// The search for the grid with the least squared error.

import { gridOfRange, roundUp, scale, takeGrid, zero } from './grid'
import { high, low, Work } from './group'

/**
 * With few bits every so many places of a range are tried, and then those around the best one. A power of two. At 2 the squared
 * error of MiniLM's weights is 0.014 % above that of trying all, in little more than half the time.
 */
const STRIDE = 2

// what the best grids found so far take off the errors, the widest grid of the range each comes from, and its place in that range
let bestGain: v128 = f32x4.splat(0)
let bestWidest: v128 = f32x4.splat(0)
let bestPlace: v128 = f32x4.splat(0)

/** Sums of four partial sums; they are kept apart by the place of an element, which gives the same as four lanes of one block. */
@inline function sum4(a: v128, b: v128, c: v128, d: v128): v128 {
  return f32x4.add(f32x4.add(a, b), f32x4.add(c, d))
}

@inline function distance(w: v128, inverse: v128, bottom: v128, top: v128): v128 {
  return f32x4.pmin(top, f32x4.pmax(bottom, f32x4.nearest(f32x4.mul(w, inverse))))
}

/**
 * Rounds each block to a grid of step `step` and fits the scale to the codes by least squares. With d = q - zero, the error
 * sum(h * (w - s * d)^2) is least at s = sum(h w d) / sum(h d d), where it is smaller than sum(h w w) by the gain
 * sum(h w d)^2 / sum(h d d); `h` are the importances, if there are some. Only lanes of `which` count.
 */
function tryGrid(t: usize, work: Work, importance: usize, step: v128, origin: v128, which: v128): v128 {
  const last = <f32>((1 << work.bits) - 1)
  const inverse = f32x4.div(f32x4.splat(1), step), bottom = f32x4.neg(origin), top = f32x4.sub(f32x4.splat(last), origin)
  let along0 = f32x4.splat(0), along1 = along0, along2 = along0, along3 = along0
  let square0 = along0, square1 = along0, square2 = along0, square3 = along0
  const end = t + (<usize>work.size << 4)
  if (importance) {
    const offset = importance - t
    for (let p = t; p < end; p += 64) {
      const w0 = v128.load(p), d0 = distance(w0, inverse, bottom, top), h0 = f32x4.mul(d0, v128.load(p + offset))
      along0 = f32x4.add(along0, f32x4.mul(w0, h0)); square0 = f32x4.add(square0, f32x4.mul(d0, h0))
      const w1 = v128.load(p, 16), d1 = distance(w1, inverse, bottom, top), h1 = f32x4.mul(d1, v128.load(p + offset, 16))
      along1 = f32x4.add(along1, f32x4.mul(w1, h1)); square1 = f32x4.add(square1, f32x4.mul(d1, h1))
      const w2 = v128.load(p, 32), d2 = distance(w2, inverse, bottom, top), h2 = f32x4.mul(d2, v128.load(p + offset, 32))
      along2 = f32x4.add(along2, f32x4.mul(w2, h2)); square2 = f32x4.add(square2, f32x4.mul(d2, h2))
      const w3 = v128.load(p, 48), d3 = distance(w3, inverse, bottom, top), h3 = f32x4.mul(d3, v128.load(p + offset, 48))
      along3 = f32x4.add(along3, f32x4.mul(w3, h3)); square3 = f32x4.add(square3, f32x4.mul(d3, h3))
    }
  } else
    for (let p = t; p < end; p += 64) {
      const w0 = v128.load(p), d0 = distance(w0, inverse, bottom, top)
      along0 = f32x4.add(along0, f32x4.mul(w0, d0)); square0 = f32x4.add(square0, f32x4.mul(d0, d0))
      const w1 = v128.load(p, 16), d1 = distance(w1, inverse, bottom, top)
      along1 = f32x4.add(along1, f32x4.mul(w1, d1)); square1 = f32x4.add(square1, f32x4.mul(d1, d1))
      const w2 = v128.load(p, 32), d2 = distance(w2, inverse, bottom, top)
      along2 = f32x4.add(along2, f32x4.mul(w2, d2)); square2 = f32x4.add(square2, f32x4.mul(d2, d2))
      const w3 = v128.load(p, 48), d3 = distance(w3, inverse, bottom, top)
      along3 = f32x4.add(along3, f32x4.mul(w3, d3)); square3 = f32x4.add(square3, f32x4.mul(d3, d3))
    }
  const wd = sum4(along0, along1, along2, along3), dd = sum4(square0, square1, square2, square3)
  const gain = f32x4.div(f32x4.mul(wd, wd), dd)
  const better = v128.and(v128.and(f32x4.gt(gain, bestGain), f32x4.gt(dd, f32x4.splat(0))), which)
  bestGain = v128.bitselect(gain, bestGain, better)
  takeGrid(better, f32x4.div(wd, dd), origin)
  return better
}

/** Tries a grid of a range: that of place `place`, from the widest one at 0 to the narrowest one at `steps`. */
function tryPlace(t: usize, work: Work, importance: usize, widest: v128, place: v128, origin: v128, which: v128): void {
  const share = f32x4.sub(f32x4.splat(1), f32x4.mul(place, f32x4.splat((1 - work.least) / <f32>work.steps)))
  const better = tryGrid(t, work, importance, f32x4.mul(widest, share), origin, which)
  bestWidest = v128.bitselect(widest, bestWidest, better)
  bestPlace = v128.bitselect(place, bestPlace, better)
}

/**
 * Finds scales and zero points of small squared error for the group at `t`: among `steps` shrunken ranges down to `least` of the
 * whole range, zero points next to the natural one (or, symmetric, both signs of the scale), each refined by
 * least squares. `weighted` lets large values count for more, by sqrt(mean(w^2)) + |w|.
 */
export function search(t: usize, work: Work, weighted: i32): void {
  const last = <f32>((1 << work.bits) - 1)
  const middle = <f32>(1 << (work.bits - 1))
  const steps = work.steps
  // 256 steps fit a range so well that the error jumps from place to place: all of them are tried
  const stride = work.bits == 8 ? 1 : STRIDE
  const nothing = f32x4.splat(0)
  const importance = weighted ? work.importance : 0
  if (weighted) weigh(t, work.size, importance)
  bestGain = nothing
  gridOfRange(work.symmetric, last, middle)
  const magnitude = f32x4.max(f32x4.abs(low), f32x4.abs(high))
  // beyond these bounds the squared sums leave the range of float32: there the range must do
  const usual = v128.and(f32x4.gt(magnitude, f32x4.splat(1e-9)), f32x4.lt(magnitude, f32x4.splat(1e6)))
  if (!v128.any_true(usual)) return
  if (work.symmetric) {
    // the widest grid reaches the largest value from the side that has one code less
    const widest = f32x4.div(magnitude, f32x4.splat(middle - 1))
    for (let i = 0; i < steps; i += stride) {
      const place = f32x4.splat(<f32>i)
      tryPlace(t, work, importance, widest, place, f32x4.splat(middle), usual)
      tryPlace(t, work, importance, f32x4.neg(widest), place, f32x4.splat(middle), usual)
    }
  } else {
    const bottom = f32x4.min(low, nothing), top = f32x4.max(high, nothing)
    const step = f32x4.div(f32x4.sub(top, bottom), f32x4.splat(last))
    const natural = roundUp(f32x4.div(f32x4.neg(bottom), step))
    for (let move = -1; move <= 1; move++) {
      const origin = f32x4.add(natural, f32x4.splat(<f32>move))
      const exists = v128.and(f32x4.ge(origin, nothing), f32x4.le(origin, f32x4.splat(last)))
      const which = v128.and(usual, exists)
      if (!v128.any_true(which)) continue
      // a neighbouring zero point needs a wider step to reach both ends
      const left = f32x4.sub(f32x4.splat(last), origin)
      const toBottom = v128.and(f32x4.div(f32x4.neg(bottom), origin), f32x4.gt(origin, nothing))
      const toTop = v128.and(f32x4.div(top, left), f32x4.gt(left, nothing))
      const start = f32x4.min(f32x4.max(toBottom, toTop), f32x4.mul(step, f32x4.splat(1.25)))
      for (let i = 0; i < steps; i += stride)
        tryPlace(t, work, importance, start, f32x4.splat(<f32>i), origin, which)
    }
  }
  // halfway between the best place and its neighbours, and halfway again
  for (let move = stride >> 1; move >= 1; move >>= 1) {
    const widest = bestWidest, place = bestPlace, origin = zero
    const before = f32x4.sub(place, f32x4.splat(<f32>move)), after = f32x4.add(place, f32x4.splat(<f32>move))
    tryPlace(t, work, importance, widest, before, origin, v128.and(usual, f32x4.ge(before, nothing)))
    tryPlace(t, work, importance, widest, after, origin, usual)
  }
  // rounding to the fitted grid and fitting again can only reduce the error
  for (let i = 0; i < 3; i++) {
    const before = bestGain
    tryGrid(t, work, importance, scale, zero, usual)
    if (!v128.any_true(f32x4.gt(bestGain, before))) break
  }
}

function weigh(t: usize, size: i32, importance: usize): void {
  let a = f32x4.splat(0), b = a, c = a, d = a
  const end = t + (<usize>size << 4)
  for (let p = t; p < end; p += 64) {
    const w0 = v128.load(p), w1 = v128.load(p, 16), w2 = v128.load(p, 32), w3 = v128.load(p, 48)
    a = f32x4.add(a, f32x4.mul(w0, w0))
    b = f32x4.add(b, f32x4.mul(w1, w1))
    c = f32x4.add(c, f32x4.mul(w2, w2))
    d = f32x4.add(d, f32x4.mul(w3, w3))
  }
  const root = f32x4.sqrt(f32x4.div(sum4(a, b, c, d), f32x4.splat(<f32>size)))
  const offset = importance - t
  for (let p = t; p < end; p += 16) v128.store(p + offset, f32x4.add(root, f32x4.abs(v128.load(p))))
}
