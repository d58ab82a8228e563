import type { Method } from './types.ts'

/** Three standard deviations around the mean of the counted values, as far as there are values. */
export const distribution: Method = {
  histogram: 'values',
  range({ histogram, min, max }) {
    const { counts, low, high } = histogram!
    const width = (high - low) / counts.length
    let [total, sum, squares] = [0, 0, 0]
    counts.forEach((count, i) => {
      const center = low + (i + 0.5) * width
      total += count
      sum += count * center
      squares += count * center * center
    })
    const mean = sum / total
    const deviation = Math.sqrt(Math.max(0, squares / total - mean * mean))
    return { min: Math.max(min, mean - 3 * deviation), max: Math.min(max, mean + 3 * deviation) }
  },
}
