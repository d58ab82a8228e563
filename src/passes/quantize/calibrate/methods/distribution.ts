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
    const clamp = (value: number): number => Math.max(min, Math.min(max, value))
    return { min: clamp(mean - 3 * deviation), max: clamp(mean + 3 * deviation), deviation }
  },
}
