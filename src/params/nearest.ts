import { foldCase } from './case.ts'

/** Number of insertions, deletions, replacements and swaps of neighbours that turn `a` into `b` (optimal string alignment). */
export function editDistance(a: string, b: string): number {
  let before: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      let best = Math.min(row[j - 1]! + 1, previous[j]! + 1, previous[j - 1]! + cost)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, before[j - 2]! + 1)
      row.push(best)
    }
    before = previous
    previous = row
  }
  return previous[b.length]!
}

/**
 * The candidate that `word` most likely stands for, compared without case and separators; undefined if none is close:
 * at most a third of the letters wrong, or one is the beginning of the other.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const wanted = foldCase(word)
  let best: { candidate: string; distance: number } | undefined
  for (const candidate of candidates) {
    const other = foldCase(candidate)
    const prefix = wanted.length >= 3 && (other.startsWith(wanted) || (other.length >= 3 && wanted.startsWith(other)))
    // Of two beginnings the longer one is meant.
    const distance = prefix ? 1 + Math.abs(other.length - wanted.length) / 1000 : editDistance(wanted, other)
    const allowed = prefix ? 2 : Math.max(1, Math.floor(Math.max(wanted.length, other.length) / 3))
    if (distance <= allowed && (best === undefined || distance < best.distance)) best = { candidate, distance }
  }
  return best?.candidate
}
