import { OPTIMIZERS } from './optimizers.ts'

/** Wrong optimizers that are looked for one by one; if there are more, all are left out. */
const MOST_CULPRITS = 4

/**
 * Finds a small set of optimizers without which the result is good, where leaving out `known` is not enough. `isGood` runs the
 * optimizer without the given ones: once without all, then about six times for each culprit. Its last call tells of the set
 * that is returned.
 *
 * @returns the set, or undefined if not even leaving out all helps
 */
export async function findCulprits(
  known: ReadonlySet<string>,
  isGood: (disabled: ReadonlySet<string>) => Promise<boolean>,
): Promise<ReadonlySet<string> | undefined> {
  const disabled = new Set(known)
  const rest = OPTIMIZERS.filter((name) => !known.has(name))
  const without = (names: readonly string[]): Set<string> => new Set([...disabled, ...names])
  if (!(await isGood(without(rest)))) return undefined
  for (let found = 0; found < MOST_CULPRITS; found++) {
    // The shortest beginning of the list that must be left out ends with a culprit.
    let low = 0
    let high = rest.length
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if (await isGood(without(rest.slice(0, middle)))) high = middle
      else low = middle
    }
    disabled.add(rest[high - 1]!)
    rest.splice(high - 1)
    if (await isGood(disabled)) return disabled
  }
  const all = without(OPTIMIZERS)
  return (await isGood(all)) ? all : undefined
}
