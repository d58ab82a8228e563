import type { Dim } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import { Sample } from './sample.ts'

/** Scores that a mask lowers so much are out of reach. */
const HIDDEN = -1e4

/**
 * True for a mask [batch, heads, length, total] that hides from every position what comes after it, whatever else it hides:
 * found out on all places of a small case.
 */
export function hidesFuture(bias: Value, length: Dim, total: Dim): boolean {
  // Three tokens after two earlier ones; any other size (that of a padding mask, say) is that of all.
  const isPart = (name: string): boolean => typeof total === 'string' && total.startsWith('(') && total.includes(name)
  const sizeOf = (name: string): number => (name === length ? 3 : isPart(name) ? 2 : 5)
  return [0, 1].every((open) => {
    const sample = new Sample(sizeOf, open)
    const [rows, columns] = [sample.size(length), sample.size(total)]
    if (rows === undefined || columns === undefined || columns < rows || bias.shape?.length !== 4) return false
    for (let row = 0; row < rows; row++)
      for (let column = row + 1 + columns - rows; column < columns; column++) {
        const place = [0, 0, row, column].map((at, axis) => (bias.shape![axis] === 1 ? 0 : at))
        const element = sample.at(bias, place)
        if (element === undefined || element > HIDDEN) return false
      }
    return true
  })
}
