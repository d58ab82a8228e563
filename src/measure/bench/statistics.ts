/** What many runs of one model tell of its latency, in milliseconds. */
export interface Latency {
  /** How many runs. */
  count: number
  p50: number
  p90: number
  p99: number
  mean: number
  /** 95 % confidence interval of the mean. */
  meanLow: number
  meanHigh: number
  min: number
  max: number
}

/**
 * Sums up the runs of one model, round by round. Runs of one round follow each other and share the machine's mood, so the
 * confidence of the mean comes from the rounds, not from the runs.
 *
 * @param rounds milliseconds of each run, by round; no round may be empty
 */
export function latencyOf(rounds: readonly (readonly number[])[]): Latency {
  const all = rounds.flat().sort((a, b) => a - b)
  const mean = average(all)
  const margin = meanMargin(rounds.map(average))
  return {
    count: all.length,
    p50: quantile(all, 0.5),
    p90: quantile(all, 0.9),
    p99: quantile(all, 0.99),
    mean,
    meanLow: mean - margin,
    meanHigh: mean + margin,
    min: all[0]!,
    max: all.at(-1)!,
  }
}

/** The middle value. */
export function median(numbers: readonly number[]): number {
  return quantile(
    [...numbers].sort((a, b) => a - b),
    0.5,
  )
}

/** The quantile of ascending numbers, interpolated between neighbours (type 7 of Hyndman and Fan 1996). */
export function quantile(sorted: readonly number[], fraction: number): number {
  const at = (sorted.length - 1) * fraction
  const [low, high] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!]
  return low + (high - low) * (at - Math.floor(at))
}

/** Half of the width of the 95 % confidence interval of the mean (Student's t); infinite for fewer than two numbers. */
export function meanMargin(numbers: readonly number[]): number {
  const n = numbers.length
  if (n < 2) return Number.POSITIVE_INFINITY
  const mean = average(numbers)
  const variance = numbers.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (n - 1)
  return student95(n - 1) * Math.sqrt(variance / n)
}

/** The 97.5 % quantile of Student's t: exact to 1 % for all degrees of freedom (Cornish-Fisher expansion from 3 on). */
export function student95(freedom: number): number {
  if (freedom === 1) return 12.706
  if (freedom === 2) return 4.303
  const z = 1.959964
  const g1 = (z ** 3 + z) / 4
  const g2 = (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96
  const g3 = (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384
  return z + g1 / freedom + g2 / freedom ** 2 + g3 / freedom ** 3
}

function average(numbers: readonly number[]): number {
  return numbers.reduce((sum, x) => sum + x, 0) / numbers.length
}
