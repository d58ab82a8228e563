import { statSync } from 'node:fs'
import { availableParallelism, freemem } from 'node:os'
import { OnnxError } from '../../onnx/errors.ts'
import { loadOrt } from '../../ort/load.ts'
import type { SessionOptions } from '../../ort/session.ts'
import { type BenchOptions, type BenchResult, bench } from '../bench/node.ts'
import { isFaster, labelOf, type Outcome, search, type TuneSpace, type TuneStep, threadCounts } from './search.ts'

export type { TuneStep } from './search.ts'

export interface TuneResult {
  /** The best options found, or the default ones. */
  options: SessionOptions
  /** The default settings and the best ones found, timed side by side at the end with twice as many rounds. */
  before: BenchResult
  after: BenchResult
  /** False if the best ones were not surely faster in the end: then `options` are the default ones. */
  confirmed: boolean
  steps: TuneStep[]
}

export interface TuneOptions extends BenchOptions, Partial<TuneSpace> {
  /** An alternative must be faster than what it replaces by this share, and surely so. */
  margin: number
  onStep?: (step: TuneStep) => void
}

/** What ONNX Runtime is told where nobody says anything. */
const START: SessionOptions = { graphOptimizationLevel: 'all' }

/**
 * Finds session options with which a model runs faster on this machine: execution provider, threads, graph optimization, execution
 * mode, memory. A search tries much and some of it is lucky: what it finds is measured once more against the default settings
 * and has to win again.
 *
 * @throws OnnxError if the model does not run with the default settings
 */
export async function tune(file: string, options: TuneOptions): Promise<TuneResult> {
  const cores = availableParallelism()
  const space: TuneSpace = {
    providers: options.providers ?? (await cpuProviders()),
    intraOp: options.intraOp ?? threadCounts(cores),
    interOp: options.interOp ?? threadCounts(cores).filter((n) => n > 1),
    refine: options.refine ?? options.intraOp === undefined,
  }
  const steps: TuneStep[] = []
  const best = await search(
    (candidates) => raceOf(file, candidates, options),
    START,
    space,
    options.margin,
    (step) => {
      steps.push(step)
      options.onStep?.(step)
    },
  )
  const isNew = best !== START
  const { results, failures } = await bench(
    (isNew ? [START, best] : [START]).map((own) => ({ label: labelOf(own), file, options: own })),
    { ...options, rounds: options.rounds * 2 },
  )
  const [before, after = before] = results
  if (failures[0] || !before || !after) throw failures[0]?.error ?? new OnnxError('TUNE_FAILED', 'nothing was measured')
  const confirmed = isNew && isFaster(after.speedup, 0)
  return { options: confirmed ? best : START, before, after, confirmed, steps }
}

/** Races candidates, as many at a time as memory allows; the first takes part each time. */
async function raceOf(file: string, candidates: readonly SessionOptions[], options: TuneOptions): Promise<Outcome[]> {
  const [first, ...others] = candidates as [SessionOptions, ...SessionOptions[]]
  const outcomes: Outcome[] = []
  const atOnce = Math.max(1, Math.floor(freemem() / 2 / (statSync(file).size * 2 + PROCESS_BYTES)) - 1)
  for (let at = 0; at < others.length; at += atOnce) {
    const group = [first, ...others.slice(at, at + atOnce)]
    const contenders = group.map((own, i) => ({ label: String(i), file, options: own }))
    const { results, failures } = await bench(contenders, { ...options, dropSlow: true })
    const broken = failures.find(({ label }) => label === '0')
    if (broken) throw broken.error
    for (const [i, own] of group.entries()) {
      if (i === 0 && outcomes.length) continue
      const result = results.find(({ label }) => label === String(i))
      const failure = failures.find(({ label }) => label === String(i))
      outcomes.push({
        options: own,
        ...(result ? { ms: result.latency.median } : {}),
        ...(result?.speedup ? { speedup: result.speedup } : {}),
        ...(failure ? { error: failure.error.what } : {}),
      })
    }
  }
  return outcomes
}

/** What a process with ONNX Runtime takes without a model. */
const PROCESS_BYTES = 120e6

/** Execution providers of this onnxruntime-node that need no device of their own: others are tried when named. */
async function cpuProviders(): Promise<string[]> {
  const ort = (await loadOrt()) as { listSupportedBackends?: () => { name: string }[] }
  return (ort.listSupportedBackends?.() ?? []).map(({ name }) => name).filter((name) => name === 'xnnpack')
}
