/** A search for the fewest units that need a better formula. Units are numbers from 0, the most sensitive first. */
export interface Problem {
  count: number
  /** Whether the model is good enough with these units in the better formula. */
  passes(better: ReadonlySet<number>): Promise<boolean>
  /** Trials that are left. */
  left(): number
}

/**
 * Gives the better formula to the most sensitive units, twice as many each time, until the model passes; then takes it back where it
 * turns out not to be needed, in halves, quarters ... down to single units, as long as trials are left.
 *
 * @returns the units; undefined if the trials were spent before the model passed, or only all units together do
 */
export async function search({ count, passes, left }: Problem): Promise<Set<number> | undefined> {
  const first = (size: number): Set<number> => new Set(Array.from({ length: size }, (_, i) => i))
  let [failed, size] = [0, 1]
  for (; size < count; size *= 2) {
    if (left() <= 0) return undefined
    if (await passes(first(size))) break
    failed = size
  }
  // All of them would pass: that is where the better formula comes from.
  size = Math.min(size, count)
  // Between what failed and what passed the border is found by halving.
  while (size - failed > 1 && left() > 0) {
    const middle = (size + failed) >> 1
    if (await passes(first(middle))) size = middle
    else failed = middle
  }
  if (size === count) return undefined
  let chosen = first(size)
  // The last one was needed in the end.
  for (let piece = Math.ceil((chosen.size - 1) / 2); piece >= 1; piece = piece > 1 ? Math.ceil(piece / 2) : 0) {
    const order = [...chosen].slice(0, -1).reverse()
    for (let at = 0; at < order.length; at += piece) {
      if (left() <= 0) return chosen
      const without = new Set(chosen)
      for (const unit of order.slice(at, at + piece)) without.delete(unit)
      if (await passes(without)) chosen = without
    }
  }
  return chosen
}
