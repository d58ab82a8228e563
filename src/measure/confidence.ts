/** A middle value with the range that holds the true one with 95 % confidence. */
export interface Estimate {
  median: number
  low: number
  high: number
}

/**
 * Median and its 95 % confidence interval from order statistics, which ask nothing of the distribution: the ranks are
 * n/2 -+ 0.98 sqrt(n). Below 6 numbers that is their whole range.
 */
export function estimate(numbers: readonly number[]): Estimate {
  const sorted = [...numbers].sort((a, b) => a - b)
  const n = sorted.length
  const margin = 0.98 * Math.sqrt(n)
  const at = (rank: number): number => sorted[Math.min(n - 1, Math.max(0, rank))]!
  const median = (at(Math.floor((n - 1) / 2)) + at(Math.ceil((n - 1) / 2))) / 2
  return { median, low: at(Math.floor(n / 2 - margin)), high: at(Math.ceil(n / 2 + margin) - 1) }
}
