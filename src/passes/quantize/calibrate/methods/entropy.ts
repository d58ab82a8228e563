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
    // For every cut, used again and again: there are thousands.
    const reference = new Float64Array(bins)
    const spread = new Float64Array(bins)
    for (let i = from; i <= middle; i++) {
      const first = Math.max(0, middle - i)
      const last = Math.min(middle + i + 1, bins)
      const length = last - first
      reference.set(counts.subarray(first, last))
      reference[0]! += sums[first]!
      reference[length - 1]! += total - sums[last]!
      quantize(counts, first, length, reference, quantizedBins, spread)
      const divergence = kullbackLeibler(reference, spread, length)
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

/** Merges `length` counts from `first` on into groups of bins, and spreads those over the bins again that have something in `reference`. */
function quantize(
  counts: Float64Array,
  first: number,
  length: number,
  reference: Float64Array,
  groups: number,
  spread: Float64Array,
): void {
  const width = Math.max(1, Math.floor(length / groups))
  for (let group = 0; group < groups; group++) {
    const start = group * width
    const end = group === groups - 1 ? length : Math.min(length, start + width)
    let sum = 0
    let filled = 0
    for (let i = start; i < end; i++) {
      sum += counts[first + i]!
      if (reference[i]! > 0) filled++
    }
    const each = sum / filled
    for (let i = start; i < end; i++) spread[i] = reference[i]! > 0 ? each : 0
  }
}

/** Of the first `length` counts, which are smoothed. */
function kullbackLeibler(p: Float64Array, q: Float64Array, length: number): number {
  const [all, others] = [smooth(p, length), smooth(q, length)]
  if (all === undefined || others === undefined) return Number.POSITIVE_INFINITY
  let sum = 0
  for (let i = 0; i < length; i++) {
    const probability = p[i]! / all
    sum += probability * Math.log(probability / (q[i]! / others))
  }
  return sum
}

/** Moves a little of the filled bins' mass to the empty ones. Returns the sum of all; undefined where that is more than they have. */
function smooth(counts: Float64Array, length: number): number | undefined {
  let empty = 0
  for (let i = 0; i < length; i++) if (counts[i] === 0) empty++
  if (empty === length) return undefined
  const loss = (EPSILON * empty) / (length - empty)
  let sum = 0
  for (let i = 0; i < length; i++) {
    const count = counts[i] === 0 ? EPSILON : counts[i]! - loss
    if (count <= 0) return undefined
    counts[i] = count
    sum += count
  }
  return sum
}
