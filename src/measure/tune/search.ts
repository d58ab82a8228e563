import type { SessionOptions } from '../../ort/session.ts'
import type { Estimate } from '../confidence.ts'

/** What became of one candidate of a race. The first is what the others are compared with. */
export interface Outcome {
  options: SessionOptions
  /** Milliseconds per run. */
  ms?: number
  /** How many times as fast as the first; absent of the first, and of one that failed. */
  speedup?: Estimate
  /** Why it could not be run. */
  error?: string
}

/** Runs candidates turn by turn and says how they compare with the first, in their order. */
export type Race = (candidates: readonly SessionOptions[]) => Promise<Outcome[]>

/** What may be varied. */
export interface TuneSpace {
  /** Execution providers besides the CPU. */
  providers: readonly string[]
  /** Numbers of threads of one operator; a single one is measured too. */
  intraOp: readonly number[]
  /** Numbers of operators at a time, for the parallel mode; empty: only one after the other. */
  interOp: readonly number[]
  /** Whether numbers between those of `intraOp` may be tried around the best one. */
  refine: boolean
}

/** One question of the search: settings that exclude each other. */
export interface TuneStep {
  /** What is varied. */
  name: string
  /** What was there, then the alternatives. */
  tried: (Outcome & { label: string })[]
  /** Label of the one that was kept. */
  chosen: string
}

/** Numbers of threads to begin with: powers of two up to the number of cores, and that. */
export function threadCounts(cores: number): number[] {
  const powers = Array.from({ length: 8 }, (_, i) => 2 ** i).filter((n) => n < cores)
  return [...powers, cores]
}

/**
 * Finds options with which a model runs faster, one kind of setting after another. What is there gives way only to an
 * alternative that is surely faster (the whole confidence interval lies above 1) and by more than the margin. One that fails is skipped.
 *
 * @param margin share by which an alternative must be faster, e.g. 0.02
 */
export async function search(
  race: Race,
  start: SessionOptions,
  space: TuneSpace,
  margin: number,
  onStep: (step: TuneStep) => void = () => {},
): Promise<SessionOptions> {
  let best = start
  const step = async (name: string, values: readonly SessionOptions[]): Promise<void> => {
    const alternatives = values
      .map((value) => ({ value, options: { ...best, ...value } }))
      .filter(({ options }) => !isSame(options, best))
    if (!alternatives.length) return
    const outcomes = await race([best, ...alternatives.map(({ options }) => options)])
    const tried = outcomes.map((outcome, i) => ({
      ...outcome,
      label: i === 0 ? 'as it is' : labelOf(alternatives[i - 1]!.value),
    }))
    const winner = tried
      .filter(({ speedup }) => isFaster(speedup, margin))
      .reduce<(typeof tried)[number] | undefined>(
        (a, b) => (a && a.speedup!.median >= b.speedup!.median ? a : b),
        undefined,
      )
    if (winner) best = winner.options
    onStep({ name, tried, chosen: (winner ?? tried[0]!).label })
  }
  const intra = (numbers: readonly number[]) => numbers.map((intraOpNumThreads) => ({ intraOpNumThreads }))

  await step(
    'provider',
    // By itself: in a list with the CPU, one that is not there would be left out without a word. The CPU is always behind it.
    space.providers.map((name) => ({ executionProviders: [name] })),
  )
  await step('threads', intra(space.intraOp))
  const { intraOpNumThreads: found } = best
  if (space.refine && found) await step('threads', intra(between(space.intraOp, found)))
  await step('level', [
    { graphOptimizationLevel: 'extended' },
    { graphOptimizationLevel: 'basic' },
    { graphOptimizationLevel: 'disabled' },
  ])
  await step(
    'execution',
    space.interOp.map((interOpNumThreads) => ({ executionMode: 'parallel', interOpNumThreads })),
  )
  await step('memory', [
    { enableMemPattern: false },
    { enableCpuMemArena: false },
    { enableMemPattern: false, enableCpuMemArena: false },
  ])
  return best
}

/** Whether a candidate is surely faster, and by more than the margin. */
export function isFaster(speedup: Estimate | undefined, margin: number): boolean {
  return speedup !== undefined && speedup.low > 1 && speedup.median > 1 + margin
}

/** The middles of the gaps on both sides of a number. */
function between(numbers: readonly number[], at: number): number[] {
  const sorted = [...numbers].sort((a, b) => a - b)
  const index = sorted.indexOf(at)
  return [sorted[index - 1], sorted[index + 1]].flatMap((other) => {
    const middle = other === undefined ? at : Math.round((at + other) / 2)
    return middle === at || middle === other ? [] : [middle]
  })
}

function isSame(a: SessionOptions, b: SessionOptions): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** Options as text: `intraOpNumThreads=2`. */
export function labelOf(options: SessionOptions): string {
  return Object.entries(options)
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(' ')
}
