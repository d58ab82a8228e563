import { readModel } from '../graph/import.ts'
import type { SessionOptions } from '../ort/session.ts'
import { type Estimate, estimate } from './confidence.ts'
import { feedsFor, type InputSource } from './inputs/index.ts'
import { type Feeds, IsolatedOrt, type IsolatedSession } from './isolated.ts'
import { feedsOf } from './versus.ts'

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
  /** Milliseconds to open the model. */
  load: number
  /** Milliseconds per run. */
  latency: Estimate
  /** Runs per second times the batch. */
  throughput: number
  /** Half of the confidence interval as a share of the median: differences below it are noise. */
  noise: number
  /** Growth of the process in bytes: by opening the model, and by opening and running it. */
  memory: { loaded: number; running: number }
}

export interface BenchOptions extends InputSource {
  /** Timed rounds; in each every contender runs once (or as often as fits into a few milliseconds). */
  rounds: number
  warmUp: number
  /** A contender whose latency is surely above the best one's is not run any more. */
  dropSlow?: boolean
}

/** Runs of fast models are timed in groups of about this many milliseconds: clocks and noise weigh less. */
const GROUP_MS = 5

/**
 * Times contenders, each in a process of its own, turn by turn so that what else the machine does meets all alike. All get
 * the same inputs, those of the first, if they can take them.
 *
 * @throws OnnxError if one can't be opened or run
 */
export async function bench(contenders: readonly Contender[], options: BenchOptions): Promise<BenchResult[]> {
  const runs: Run[] = []
  try {
    let feeds: Feeds | undefined
    for (const contender of contenders) {
      const ort = new IsolatedOrt()
      runs.push(new Run(contender, ort))
      const run = runs.at(-1)!
      run.session = await ort.open(contender.file, contender.options)
      const own = async (): Promise<Feeds> => (await feedsFor(readModel(contender.file), run.session, options))[0] ?? {}
      feeds ??= await own()
      // Another model takes other inputs.
      await run.prepare(feeds, options.warmUp).catch(async () => run.prepare(await own(), options.warmUp))
    }
    for (let round = 0; round < options.rounds; round++) {
      for (const run of runs) if (!run.dropped) await run.turn()
      if (options.dropSlow && round >= 5) drop(runs)
    }
    return runs.map((run) => run.result())
  } finally {
    for (const { ort } of runs) ort.close()
  }
}

function drop(runs: readonly Run[]): void {
  const best = Math.min(...runs.map((run) => estimate(run.times).high))
  for (const run of runs) if (estimate(run.times).low > best) run.dropped = true
}

class Run {
  readonly contender: Contender
  readonly ort: IsolatedOrt
  readonly times: number[] = []
  session!: IsolatedSession
  dropped = false
  #feeds: Feeds = {}
  #group = 1
  #start = 0
  #memory = 0

  constructor(contender: Contender, ort: IsolatedOrt) {
    this.contender = contender
    this.ort = ort
  }

  async prepare(feeds: Feeds, warmUp: number): Promise<void> {
    this.#feeds = feedsOf(this.session, feeds)
    const { times, memory } = await this.session.time(this.#feeds, warmUp, 3)
    this.#group = Math.max(1, Math.min(100, Math.round(GROUP_MS / estimate(times).median)))
    this.#memory = memory
    this.#start = memory
  }

  async turn(): Promise<void> {
    const { times, memory } = await this.session.time(this.#feeds, 0, this.#group)
    this.times.push(times.reduce((sum, ms) => sum + ms, 0) / times.length)
    this.#memory = Math.max(this.#memory, memory)
  }

  result(): BenchResult {
    const latency = estimate(this.times)
    const batch = Object.values(this.#feeds)[0]?.dims[0] ?? 1
    const { ms, memory } = this.session.opening
    return {
      label: this.contender.label,
      file: this.contender.file,
      load: ms,
      latency,
      throughput: (batch * 1000) / latency.median,
      noise: (latency.high - latency.low) / 2 / latency.median,
      memory: { loaded: memory, running: memory + Math.max(0, this.#memory - this.#start) },
    }
  }
}
