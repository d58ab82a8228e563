import type { Histogram } from '../../../../kernels/index.ts'
import type { Method, Range } from './types.ts'

/**
 * Cuts a small part of the values off: with symmetric ranges the largest magnitudes, else half of the part on either side. The
 * cut is at the edge of a bin, and never beyond the true extremes.
 */
export const percentile: Method = {
  histogram: 'magnitudes',
  range({ histogram, min, max }, { percentile: part }) {
    const edge = edgeAt(histogram!, part / 100)
    return within(-edge, edge, min, max)
  },
}

/** The same on a histogram of signed values. */
export const percentileAsymmetric: Method = {
  histogram: 'values',
  range({ histogram, min, max }, { percentile: part }) {
    const cut = (100 - part) / 200
    return within(edgeAt(histogram!, cut), edgeAt(histogram!, 1 - cut), min, max)
  },
}

/** A range within the extremes. Edges of bins may both lie on one side of values that are all (nearly) the same. */
function within(low: number, high: number, min: number, max: number): Range {
  const upper = Math.max(min, Math.min(high, max))
  return { min: Math.min(Math.max(low, min), upper), max: upper }
}

/** The lower edge of the first bin up to whose end at least `part` of all values lie. */
function edgeAt({ counts, low, high }: Histogram, part: number): number {
  const total = counts.reduce((sum, count) => sum + count, 0)
  const step = (high - low) / counts.length
  let sum = 0
  for (let i = 0; i < counts.length; i++) {
    sum += counts[i]! / total
    if (sum >= part) return Math.fround(low + i * step)
  }
  return high
}
