import type { Value } from '../../../graph/value.ts'
import {
  addToHistogram,
  channelLayout,
  type FloatInput,
  type Histogram,
  histogram,
  lengthOf,
  meanSquares,
  minMax,
  toFloat32,
} from '../../../kernels/index.ts'

/** Which values are no numbers but signs: masks of -3.4e38, -1e9 or -10000 that a softmax turns into 0. */
export interface MaskLimits {
  /** Values from here down are masks. */
  low: number
  /** Values from here up are masks. */
  high: number
}

/** What masks of models are made of. */
export const MASKS: MaskLimits = { low: -9999, high: 1e30 }
/** Every finite value is a number. */
export const NO_MASKS: MaskLimits = { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY }

/** What calibration knows of one tensor. */
export interface Statistics {
  /** Smallest and largest value over all samples, masks and what is not finite left out; NaN where there is none. */
  min: number
  max: number
  /** The same with every sample counting alike: means of the samples' extremes, or their moving average. */
  averageMin: number
  averageMax: number
  /** Values that are NaN, infinite, or masks. */
  nan: number
  infinite: number
  masks: number
  /** Values seen, in all samples together. */
  count: number
  /**
   * Sum of the squares of all values by channel (of the last axis, or axis 1 of tensors with four axes and more; one channel if their
   * number varies); infinite or NaN where one of them is, masks included.
   */
  squares: Float64Array
  /** Counts over a range around zero that holds all values; only for methods that ask for it. */
  histogram?: Histogram
  samples: number
}

/** What is known of a tensor before any sample. */
export function emptyStatistics(): Statistics {
  return {
    min: Number.NaN,
    max: Number.NaN,
    averageMin: Number.NaN,
    averageMax: Number.NaN,
    nan: 0,
    infinite: 0,
    masks: 0,
    count: 0,
    squares: new Float64Array(0),
    samples: 0,
  }
}

/** Statistics by value. */
export type StatisticsMap = ReadonlyMap<Value, Statistics>

/**
 * Adds a sample to the range.
 *
 * @param weight of this sample in the averages; undefined: all samples count alike
 */
export function addRange(into: Statistics, input: FloatInput, limits: MaskLimits, weight?: number): void {
  let { min, max, nan, infinite } = minMax(input)
  into.nan += nan
  if (infinite > 0 || min <= limits.low || max >= limits.high) {
    const rest = withoutMasks(input, limits)
    ;({ min, max, infinite } = rest)
    into.infinite += infinite
    into.masks += rest.masks
  }
  into.samples++
  into.count += lengthOf(input)
  widen(into, min, max, weight)
}

/** Adds what was found of a sample: smallest and largest value (in the wrong order if there was none), number of masks. */
export function addSummary(into: Statistics, [min, max, masks]: Float32Array, weight?: number): void {
  into.samples++
  into.masks += masks!
  widen(into, min!, max!, weight)
}

/** Adds the statistics of one sample, as if it had been added itself. */
export function addStatistics(into: Statistics, one: Statistics, weight?: number): void {
  into.nan += one.nan
  into.infinite += one.infinite
  into.masks += one.masks
  into.samples += one.samples
  into.count += one.count
  widen(into, one.min, one.max, weight)
  addChannels(into, one.squares)
}

/** Adds the counts of one sample over the same range. */
export function addSampleCounts(into: Statistics, counts: Float64Array, bins: number, magnitudes: boolean): void {
  into.histogram ??= emptyHistogram(into, bins, magnitudes)
  const own = into.histogram.counts
  for (let i = 0; i < own.length; i++) own[i]! += counts[i]!
}

function widen(into: Statistics, min: number, max: number, weight?: number): void {
  if (!(min <= max)) return
  const first = Number.isNaN(into.min)
  into.min = first ? min : Math.min(into.min, min)
  into.max = first ? max : Math.max(into.max, max)
  const part = weight ?? 1 / into.samples
  into.averageMin = first ? min : into.averageMin + (min - into.averageMin) * part
  into.averageMax = first ? max : into.averageMax + (max - into.averageMax) * part
}

/** Adds a sample of these dimensions to the squares by channel. */
export function addSquares(into: Statistics, input: FloatInput, dims: readonly number[]): void {
  const count = lengthOf(input)
  if (!count) return
  const axis = dims.length >= 4 ? 1 : dims.length - 1
  const layout = dims.length ? channelLayout(dims, axis) : { outer: 1, channels: 1, inner: 1 }
  const sums = meanSquares(input, layout)
  const each = count / layout.channels
  for (let i = 0; i < sums.length; i++) sums[i]! *= each
  addChannels(into, sums)
}

function addChannels(into: Statistics, squares: Float64Array): void {
  if (!squares.length) return
  if (!into.squares.length) into.squares = new Float64Array(squares.length)
  if (into.squares.length !== squares.length && into.squares.length !== 1)
    into.squares = Float64Array.of(into.squares.reduce((sum, value) => sum + value, 0))
  const one = into.squares.length === 1
  for (let i = 0; i < squares.length; i++) into.squares[one ? 0 : i]! += squares[i]!
}

function withoutMasks(
  input: FloatInput,
  { low, high }: MaskLimits,
): { min: number; max: number; masks: number; infinite: number } {
  let min = Number.POSITIVE_INFINITY
  let max = Number.NEGATIVE_INFINITY
  let masks = 0
  let infinite = 0
  for (const value of toFloat32(input)) {
    if (!Number.isFinite(value)) infinite += Number.isNaN(value) ? 0 : 1
    else if (value <= low || value >= high) masks++
    else {
      if (value < min) min = value
      if (value > max) max = value
    }
  }
  return { min, max, masks, infinite }
}

/** Adds a sample to the histogram, which is made from the range at the first call. Values outside the range are left out. */
export function addCounts(into: Statistics, input: FloatInput, bins: number, magnitudes: boolean): void {
  if (Number.isNaN(into.min)) return
  into.histogram ??= emptyHistogram(into, bins, magnitudes)
  addToHistogram(into.histogram, input, magnitudes)
}

function emptyHistogram({ min, max }: Statistics, bins: number, magnitudes: boolean): Histogram {
  const limit = Math.max(-min, max, 0)
  // A tensor of zeros needs some range all the same.
  const reach = limit > 0 ? Math.max(limit, 1e-30) : 0.5
  return histogram(magnitudes ? 0 : -reach, reach, bins)
}
