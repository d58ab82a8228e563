import { setTimeout as sleep } from 'node:timers/promises'
import { readModel } from '../../graph/import.ts'
import { OnnxError } from '../../onnx/errors.ts'
import type { SessionOptions } from '../../ort/session.ts'
import { type Estimate, estimate } from '../confidence.ts'
import { fixInputs, type WantedSizes } from '../inputs/fixed.ts'
import { feedsFor, type InputSource } from '../inputs/index.ts'
import { type Feeds, IsolatedOrt, type IsolatedSession } from '../isolated.ts'
import { feedsOf } from '../versus.ts'
import { type Latency, latencyOf, median } from './statistics.ts'

/** Something to time: a model with a way of running it. */
export interface Contender {
  label: string
  file: string
  options: SessionOptions
}

/** What was measured of one contender. */
export interface BenchResult {
  label: string
  file: string
  /** Shapes of its inputs, and the rows of the first. */
  inputs: Record<string, number[]>
  batch: number
  /** Milliseconds to open the model. */
  load: number
  /** Milliseconds per run: the median of the rounds, sure to 95 %. */
  latency: Estimate
  /** The same of all runs. */
  runs: Latency
  /** Items (rows of a batch) per second. */
  throughput: number
  /** Half of the confidence interval as a share of the median: differences below it are noise. */
  noise: number
  /** Growth of the process in bytes, by opening the model, and by opening and running it; and the most that the whole process had. */
  memory: { loaded: number; running: number; peak: number }
  /** How many times as fast as the first, by rounds in which both ran; absent of the first. */
  speedup?: Estimate
}

/** A contender that could not be opened or run. */
export interface BenchFailure {
  label: string
  file: string
  error: OnnxError
}

export interface BenchOptions extends InputSource {
  /** Timed rounds; in each every contender runs once (or as often as fits into a few milliseconds). */
  rounds: number
  warmUp: number
  /** Sizes of made-up inputs. */
  sizes?: WantedSizes | undefined
  /** Inputs that there are already. */
  feeds?: Feeds | undefined
  /** A contender whose latency is surely above the best one's is not run any more. */
  dropSlow?: boolean
}

/** Runs of fast models are timed in groups of about this many milliseconds: clocks and noise weigh less. */
const GROUP_MS = 5

/**
 * Threads of ONNX Runtime go on spinning for some ten milliseconds after a run, in case of another. With other contenders the one
 * whose turn it is waits that long, or it would be timed against them.
 */
const SETTLE_MS = 60

/**
 * Times contenders, each in a process of its own, turn by turn so that what else the machine does meets all alike. All get
 * the same inputs, those of the first, if they can take them. One that fails is left out; the others are measured.
 *
 * @returns results and failures, in the order of the contenders; and the inputs, by contender's place
 * @throws OnnxError for files of inputs and sizes that do not fit
 */
export async function bench(
  contenders: readonly Contender[],
  options: BenchOptions,
): Promise<{ results: BenchResult[]; failures: BenchFailure[]; feeds: Map<BenchResult, Feeds> }> {
  const runs: Run[] = []
  const failures: BenchFailure[] = []
  const guard = async (run: Run, action: () => Promise<void>): Promise<boolean> => {
    try {
      await action()
      return true
    } catch (error) {
      const { label, file } = run.contender
      if (!(error instanceof OnnxError)) throw error
      failures.push({ label, file, error: error.at({ file }) })
      run.close()
      return false
    }
  }
  try {
    let { feeds } = options
    for (const contender of contenders) {
      const run = new Run(contender)
      const ready = await guard(run, async () => {
        feeds = await run.open(feeds, options)
      })
      if (ready) runs.push(run)
    }
    for (let round = 0; round < options.rounds; round++) {
      // Another one begins each time: none is always the one after the slowest.
      for (let turn = 0; turn < runs.length; turn++) {
        const run = runs[(round + turn) % runs.length]!
        if (!run.dropped && runs.length > 1) await sleep(SETTLE_MS)
        if (!run.dropped && !(await guard(run, () => run.turn()))) run.dropped = run.failed = true
      }
      if (options.dropSlow && round >= 5) dropSlow(runs)
    }
    const done = runs.filter(({ failed }) => !failed)
    const results = done.map((run) => run.result(done[0]!))
    return { results, failures, feeds: new Map(results.map((result, i) => [result, done[i]!.feeds])) }
  } finally {
    for (const run of runs) run.close()
  }
}

/** Which contenders are surely slower than the best. The first stays: it is what the others are compared with. */
function dropSlow(runs: readonly Run[]): void {
  const best = Math.min(...runs.filter(({ failed }) => !failed).map((run) => estimate(run.medians).high))
  for (const run of runs.slice(1)) if (estimate(run.medians).low > best) run.dropped = true
}

/**
 * How many times as fast the second is as the first, by the medians of the rounds in which both ran: what slows the machine
 * down for a while meets both alike.
 */
export function speedupOf(reference: readonly number[], candidate: readonly number[]): Estimate {
  return estimate(candidate.map((ms, round) => reference[round]! / ms))
}

class Run {
  readonly contender: Contender
  readonly rounds: number[][] = []
  feeds: Feeds = {}
  dropped = false
  failed = false
  readonly #ort = new IsolatedOrt()
  #session!: IsolatedSession
  #group = 1
  #start = 0
  #memory = 0
  #peak = 0

  constructor(contender: Contender) {
    this.contender = contender
  }

  /** Opens the model and runs it a few times. Returns the inputs to offer to the next. */
  async open(like: Feeds | undefined, options: BenchOptions): Promise<Feeds> {
    const { file, options: sessionOptions } = this.contender
    this.#session = await this.#ort.open(file, sessionOptions)
    const model = readModel(file)
    if (options.sizes) fixInputs(model, options.sizes)
    const own = async (): Promise<Feeds> => (await feedsFor(model, this.#session, options))[0] ?? {}
    const fits = like && this.#session.inputs.every(({ name }) => like[name])
    if (!fits || !(await this.#takes(like))) this.feeds = feedsOf(this.#session, await own())
    const { times, memory } = await this.#session.time(this.feeds, options.warmUp, 3)
    this.#group = Math.max(1, Math.min(100, Math.round(GROUP_MS / median(times))))
    this.#memory = memory
    this.#start = memory
    return like ?? this.feeds
  }

  /** Another model may take inputs of these names in other shapes only. */
  async #takes(feeds: Feeds): Promise<boolean> {
    this.feeds = feedsOf(this.#session, feeds)
    try {
      await this.#session.run(this.feeds)
      return true
    } catch (error) {
      if ((error as OnnxError).code !== 'ORT_RUN_FAILED') throw error
      return false
    }
  }

  /** Times a group of runs. One before them wakes the threads up again. */
  async turn(): Promise<void> {
    const { times, memory, peak } = await this.#session.time(this.feeds, 1, this.#group)
    this.rounds.push(times)
    this.#memory = Math.max(this.#memory, memory)
    this.#peak = peak
  }

  /** The median of each round. */
  get medians(): number[] {
    return this.rounds.map(median)
  }

  result(first: Run): BenchResult {
    const latency = estimate(this.medians)
    const runs = latencyOf(this.rounds)
    const { ms, memory } = this.#session.opening
    const batch = Object.values(this.feeds)[0]?.dims[0] || 1
    return {
      label: this.contender.label,
      file: this.contender.file,
      inputs: Object.fromEntries(Object.entries(this.feeds).map(([name, { dims }]) => [name, [...dims]])),
      batch,
      load: ms,
      latency,
      runs,
      throughput: (batch * 1000) / runs.mean,
      noise: (latency.high - latency.low) / 2 / latency.median,
      memory: {
        loaded: memory,
        running: memory + Math.max(0, this.#memory - this.#start),
        peak: this.#peak,
      },
      ...(this === first ? {} : { speedup: speedupOf(first.medians, this.medians) }),
    }
  }

  close(): void {
    this.#ort.close()
  }
}
