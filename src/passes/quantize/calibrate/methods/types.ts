import type { Statistics } from '../statistics.ts'

/** The range that a tensor's values are quantized in. */
export interface Range {
  min: number
  max: number
  /** Standard deviation, where the method finds it. */
  deviation?: number
}

/** How to find a range. */
export interface MethodOptions {
  /** Number of bins of histograms. */
  bins: number
  /** `entropy`: number of quantized bins. */
  quantizedBins: number
  /** `percentile`: per cent of the values that stay inside. */
  percentile: number
  /** Ranges that are symmetric around zero. */
  symmetric: boolean
  /** `minmax`: the mean of the samples' extremes instead of the extremes. */
  movingAverage: boolean
  /** Weight of each further sample in those means; undefined: all count alike. */
  averageWeight?: number | undefined
  /** `mse`: number of steps of the quantized type. */
  levels: number
}

/** A way to find the range of a tensor. */
export interface Method {
  /** What it needs to be counted, besides the extremes. */
  histogram: 'none' | 'values' | 'magnitudes'
  range(statistics: Statistics, options: MethodOptions): Range
}
