/** A search for the fewest units that must stay float32. Units are numbers from 0. */
export interface Problem {
  /** How many units there are. */
  count: number
  /** Units that are float32 from the start. */
  start: readonly number[]
  /** Those of them that are worth a try in float16 at the end. */
  doubtful: ReadonlySet<number>
  /** Whether the model is good enough when these units are float32 and all others float16. */
  passes(float32: ReadonlySet<number>): Promise<boolean>
  /** All units, most suspicious first, seen from a choice that is not good enough. */
  rank(float32: ReadonlySet<number>): Promise<readonly number[]>
  /** After this many runs what is good enough is taken as it is. */
  maxRuns: number
}

/**
 * Finds few units whose float32 makes the model good enough: begins with those that are out of range, adds the most
 * suspicious ones, twice as many each time, until it passes, then gives back what turns out not to be needed.
 *
 * @returns undefined if the model never passes
 */
export async function search(problem: Problem): Promise<Set<number> | undefined> {
  let runs = 0
  const passes = (float32: ReadonlySet<number>): Promise<boolean> => {
    runs++
    return problem.passes(float32)
  }
  let chosen = new Set(problem.start)
  if (!(await passes(chosen))) {
    const suspects = (await problem.rank(chosen)).filter((unit) => !chosen.has(unit))
    let size = 1
    for (;;) {
      const more = new Set([...chosen, ...suspects.slice(0, size)])
      if (await passes(more)) {
        chosen = more
        break
      }
      if (size >= suspects.length) return undefined
      // The last third is not worth three runs.
      size = size * 3 > suspects.length ? suspects.length : size * 2
    }
  }
  // Give back in pieces, the last added first: halves, then quarters, ... down to single units.
  const fixed = new Set(problem.start.filter((unit) => !problem.doubtful.has(unit)))
  const open = (): number[] => [...chosen].reverse().filter((unit) => !fixed.has(unit))
  for (let piece = Math.ceil(open().length / 2); piece >= 1; piece = piece > 1 ? Math.ceil(piece / 2) : 0) {
    const order = open()
    for (let at = 0; at < order.length; at += piece) {
      if (runs >= problem.maxRuns) return chosen
      const without = new Set(chosen)
      for (const unit of order.slice(at, at + piece)) without.delete(unit)
      if (without.size < chosen.size && (await passes(without))) chosen = without
    }
  }
  return chosen
}
