import type { Histogram } from '../../../../kernels/index.ts'
import type { Method } from './types.ts'

/**
 * Cuts a small part of the values off: with symmetric ranges the largest magnitudes, else half of the part on either side. The
 * cut is at the edge of a bin, and never beyond the true extremes.
 */
export const percentile: Method = {
  histogram: 'magnitudes',
  range({ histogram, min, max }, { percentile: part }) {
    const edge = edgeAt(histogram!, part / 100)
    return { min: Math.max(-edge, min), max: Math.min(edge, max) }
  },
}

/** The same on a histogram of signed values. */
export const percentileAsymmetric: Method = {
  histogram: 'values',
  range({ histogram, min, max }, { percentile: part }) {
    const cut = (100 - part) / 200
    return {
      min: Math.max(edgeAt(histogram!, cut), min),
      max: Math.min(edgeAt(histogram!, 1 - cut), max),
    }
  },
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
