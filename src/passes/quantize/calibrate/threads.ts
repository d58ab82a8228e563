import type { Tinypool } from 'tinypool'
import { OnnxError } from '../../../onnx/errors.ts'
import type { Feeds } from './data/index.ts'
import { failedSample } from './failed-sample.ts'
import { type SampleResult, type SampleTask, toWire } from './worker.ts'

/** Memory that the weights of all threads together may take. */
const WEIGHTS = 2 ** 28

/** How many threads run a model at a time: each has the weights once. */
export function threadsFor(weightBytes: number, threads: number): number {
  return Math.max(1, Math.min(threads, Math.floor(WEIGHTS / Math.max(1, weightBytes))))
}

/** The built worker; undefined when running from TypeScript sources. */
export function builtWorker(): URL | undefined {
  return import.meta.url.endsWith('.ts') ? undefined : new URL('./calibration-worker.js', import.meta.url)
}

/** Runs samples on several threads, each with a session of its own. Memory: a session and at most two samples a thread. */
export class CalibrationThreads {
  readonly #pool: Promise<Tinypool>
  readonly #count: number
  readonly #task: Omit<SampleTask, 'feeds' | 'histogram'>

  /**
   * @param count threads
   * @param worker the built worker
   */
  constructor(count: number, worker: URL, task: Omit<SampleTask, 'feeds' | 'histogram'>) {
    this.#count = count
    this.#task = task
    // Loaded when it is needed: most builds end before that.
    this.#pool = import('tinypool').then(
      ({ Tinypool }) => new Tinypool({ filename: worker.href, minThreads: count, maxThreads: count }),
    )
  }

  /**
   * Runs all samples of an iterator; results come one by one, in the order of the samples.
   *
   * @throws OnnxError if the model fails
   */
  async run(
    samples: AsyncIterator<Feeds>,
    histogram: SampleTask['histogram'],
    see: (result: Exclude<SampleResult, { error: unknown }>) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    const pool = await this.#pool
    const running: Promise<SampleResult>[] = []
    const next = async (): Promise<void> => {
      const result = await running.shift()!
      if ('error' in result) throw failedSample(new OnnxError(result.error.code, result.error.what))
      see(result)
    }
    try {
      for (let item = await samples.next(); !item.done; item = await samples.next()) {
        signal?.throwIfAborted()
        const feeds = Object.fromEntries(Object.entries(item.value).map(([name, tensor]) => [name, toWire(tensor)]))
        const task: SampleTask = { ...this.#task, feeds, ...(histogram ? { histogram } : {}) }
        running.push(pool.run(task) as Promise<SampleResult>)
        if (running.length >= this.#count * 2) await next()
      }
      while (running.length) await next()
    } finally {
      await Promise.allSettled(running)
    }
  }

  async close(): Promise<void> {
    await (await this.#pool).destroy()
  }
}
