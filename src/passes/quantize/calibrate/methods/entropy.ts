import type { Method, Range } from './types.ts'

/** Added to a probability of zero, so that its logarithm is finite. */
const EPSILON = 1e-4

/**
 * The symmetric range whose quantized distribution is nearest to the true one: of all cuts between half as many bins as quantized
 * ones and all, the one of least Kullback-Leibler divergence. What lies outside is added to the outermost bins; a quantized
 * bin's mass is spread evenly over those of its bins that are not empty.
 */
export const entropy: Method = {
  histogram: 'values',
  range({ histogram, min, max }, { quantizedBins }): Range {
    const { counts, low, high } = histogram!
    const bins = counts.length
    const step = (high - low) / bins
    const middle = bins >> 1
    const from = quantizedBins >> 1
    let best = Number.POSITIVE_INFINITY
    let [start, end] = [0, bins]
    const sums = new Float64Array(bins + 1)
    for (let i = 0; i < bins; i++) sums[i + 1] = sums[i]! + counts[i]!
    const total = sums[bins]!
    for (let i = from; i <= middle; i++) {
      const first = Math.max(0, middle - i)
      const last = Math.min(middle + i + 1, bins)
      const sliced = counts.subarray(first, last)
      const reference = sliced.slice()
      reference[0]! += sums[first]!
      reference[reference.length - 1]! += total - sums[last]!
      const divergence = kullbackLeibler(reference, quantized(sliced, reference, quantizedBins))
      if (divergence < best) {
        best = divergence
        ;[start, end] = [first, last]
      }
    }
    return {
      min: Math.max(Math.fround(low + start * step), min),
      max: Math.min(Math.fround(low + end * step), max),
    }
  },
}

/** The slice merged into groups of bins and spread over the non-empty ones again. */
function quantized(sliced: Float64Array, reference: Float64Array, groups: number): Float64Array {
  const result = new Float64Array(sliced.length)
  const width = Math.max(1, Math.floor(sliced.length / groups))
  for (let group = 0; group < groups; group++) {
    const start = group * width
    const end = group === groups - 1 ? sliced.length : Math.min(sliced.length, start + width)
    let sum = 0
    let filled = 0
    for (let i = start; i < end; i++) {
      sum += sliced[i]!
      if (reference[i]! > 0) filled++
    }
    for (let i = start; i < end; i++) if (reference[i]! > 0) result[i] = sum / filled
  }
  return result
}

function kullbackLeibler(p: Float64Array, q: Float64Array): number {
  const [a, b] = [smoothed(p), smoothed(q)]
  if (!a || !b) return Number.POSITIVE_INFINITY
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * Math.log(a[i]! / b[i]!)
  return sum
}

/** As probabilities, a little of the filled bins' mass moved to the empty ones; undefined where that is more than they have. */
function smoothed(counts: Float64Array): Float64Array | undefined {
  const empty = counts.reduce((number, count) => number + (count === 0 ? 1 : 0), 0)
  const filled = counts.length - empty
  if (!filled) return undefined
  const loss = (EPSILON * empty) / filled
  let sum = 0
  const result = counts.map((count) => (count === 0 ? EPSILON : count - loss))
  for (const count of result) {
    if (count <= 0) return undefined
    sum += count
  }
  return result.map((count) => count / sum)
}
