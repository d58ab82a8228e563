import type { Method } from './types.ts'

/** The extremes over all samples; or the means of the samples' extremes, which a single outlier moves little. */
export const minMax: Method = {
  histogram: 'none',
  range({ min, max, averageMin, averageMax }, { movingAverage, symmetric }) {
    const [low, high] = movingAverage ? [averageMin, averageMax] : [min, max]
    if (!symmetric) return { min: low, max: high }
    const limit = Math.max(Math.abs(low), Math.abs(high))
    return { min: -limit, max: limit }
  },
}
