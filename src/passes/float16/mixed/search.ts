import { pack } from './pack.ts'

/** A search for the fewest units that must stay float32. Units are numbers from 0. */
export interface Problem {
  /** How many units there are. */
  count: number
  /** Units that are float32 from the start. */
  start: readonly number[]
  /** Those of them that are worth a try in float16 one by one. */
  doubtful: ReadonlySet<number>
  /** The others, by what hangs together: each group is tried in float16 as a whole at the end. */
  groups: readonly (readonly number[])[]
  /** Whether the model is good enough when these units are float32 and all others float16. */
  passes(float32: ReadonlySet<number>): Promise<boolean>
  /** All units, most suspicious first, seen from a choice that is not good enough. */
  rank(float32: ReadonlySet<number>): Promise<readonly number[]>
  /** The share of the allowed error that these units make when they alone are float16; where there is no such number, absent. */
  error?(float16: ReadonlySet<number>): Promise<number>
  /** After this many runs what is good enough is taken as it is. */
  maxRuns: number
}

/**
 * Finds few units whose float32 makes the model good enough. Begins with those that are out of range. If that is not it, the
 * most suspicious ones are added, twice as many each time, until it passes. Where errors do not come from a few units but add
 * up, the shortest beginning or end of the model may do with fewer, and the error of each part tells which fit into what is
 * allowed. What turns out not to be needed is given back.
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
  const fixed = new Set(problem.start.filter((unit) => !problem.doubtful.has(unit)))
  /** Gives back in pieces, the last added first: halves, then quarters, ... down to single units. True if it came to the end. */
  const giveBack = async (until: number): Promise<boolean> => {
    const open = (): number[] => [...chosen].reverse().filter((unit) => !fixed.has(unit))
    for (let piece = Math.ceil(open().length / 2); piece >= 1; piece = piece > 1 ? Math.ceil(piece / 2) : 0) {
      const order = open()
      for (let at = 0; at < order.length; at += piece) {
        if (runs >= until) return false
        const without = new Set(chosen)
        for (const unit of order.slice(at, at + piece)) without.delete(unit)
        if (without.size < chosen.size && (await passes(without))) chosen = without
      }
    }
    return true
  }
  if (!(await passes(chosen))) {
    const found = await grow(chosen, problem, passes)
    if (!found) return undefined
    chosen = found
  }
  const isBroad = chosen.size > problem.count / 2
  const isDone = !isBroad && (await giveBack(Math.min(problem.maxRuns, runs + QUICK)))
  if (!isDone && chosen.size > problem.start.length + FEW) {
    chosen = await shortest(chosen, false, problem, passes)
    chosen = await shortest(chosen, true, problem, passes)
    const error = (float16: ReadonlySet<number>): Promise<number> => {
      runs++
      return problem.error!(float16)
    }
    const isOver = (share: number): boolean => runs >= problem.maxRuns * share
    if (problem.error) chosen = await pack(chosen, { count: problem.count, error, passes, isOver })
  }
  if (!isDone) await giveBack(problem.maxRuns)
  // What is out of range may be so without harm: it is masked, or ends in something that saturates.
  for (const group of problem.groups) {
    if (runs >= problem.maxRuns) break
    const without = new Set(chosen)
    for (const unit of group) without.delete(unit)
    if (without.size < chosen.size && (await passes(without))) chosen = without
  }
  return chosen
}

/** If few units are needed, so many runs find them. */
const QUICK = 20

/** So few units more are taken as they are. */
const FEW = 8

/** Whether the model is good enough with these units in float32. */
export type Passes = (float32: ReadonlySet<number>) => Promise<boolean>

/** Adds suspects to `start` until it passes. */
async function grow(start: ReadonlySet<number>, problem: Problem, passes: Passes): Promise<Set<number> | undefined> {
  const suspects = (await problem.rank(start)).filter((unit) => !start.has(unit))
  for (let size = 1; ; ) {
    const more = new Set([...start, ...suspects.slice(0, size)])
    if (await passes(more)) return more
    if (size >= suspects.length) return undefined
    // The last third is not worth three runs.
    size = size * 3 > suspects.length ? suspects.length : size * 2
  }
}

/** The shortest beginning (or end) of the model that passes together with the start, by bisection; `known` if it is longer than that. */
async function shortest(
  known: Set<number>,
  fromEnd: boolean,
  { count, start }: Problem,
  passes: Passes,
): Promise<Set<number>> {
  const span = (size: number): Set<number> =>
    new Set([...start, ...Array.from({ length: size }, (_, i) => (fromEnd ? count - 1 - i : i))])
  let [low, high] = [0, known.size - start.length - 1]
  if (high < 1 || !(await passes(span(high)))) return known
  while (high - low > Math.max(1, high / 16)) {
    const middle = (low + high) >> 1
    if (await passes(span(middle))) high = middle
    else low = middle
  }
  return span(high)
}
