import type { AnyPass } from '../../passes/pass.ts'
import { throwIfAborted } from '../failure.ts'
import { type Job, type JobProgress, type ResultOf, runJob } from './jobs.ts'
import { Threads } from './threads.ts'

export interface RunOptions {
  signal?: AbortSignal | undefined
  onProgress?: ((progress: JobProgress) => void) | undefined
}

/** Whatever does jobs: worker threads, or this thread. */
export interface Executor {
  /** True if jobs run beside each other. */
  readonly parallel: boolean
  run<J extends Job>(job: J, options?: RunOptions): Promise<ResultOf<J>>
  close(): Promise<void>
}

/** Does jobs on this thread: for tests that run the sources, and for `workers: false`. */
export function inlineExecutor(load: () => Promise<readonly AnyPass[]>): Executor {
  return {
    parallel: false,
    async run(job, { signal, onProgress } = {}) {
      throwIfAborted(signal)
      return runJob(job, {
        passes: job.kind === 'build' ? await load() : [],
        progress: (progress) => onProgress?.(progress),
        signal: signal ?? new AbortController().signal,
      })
    },
    async close() {},
  }
}

/** How jobs are to be done. */
export interface ExecutorConfig {
  /** False: on this thread; an URL: the file of the threads. Default: threads where there is a built file for them. */
  workers: boolean | URL | undefined
  maxThreads: number
  /** True if this thread may hash. */
  dedicated: boolean
  load: () => Promise<readonly AnyPass[]>
}

/**
 * Worker threads, or this thread. Node can't load our TypeScript sources into a worker, so builds run on this thread when
 * the project itself is not built (its own tests).
 */
export function defaultExecutor({ workers, maxThreads, dedicated, load }: ExecutorConfig): Executor {
  if (workers === false || (!(workers instanceof URL) && import.meta.url.endsWith('.ts'))) return inlineExecutor(load)
  const threads = new Threads(workers instanceof URL ? workers : undefined, maxThreads)
  return dedicated ? alsoHere(threads, inlineExecutor(load)) : threads
}

/** Threads, and one hash at a time on this thread. */
function alsoHere(threads: Executor, here: Executor): Executor {
  let busy = false
  return {
    parallel: true,
    async run(job, options) {
      if (job.kind !== 'hash' || busy) return threads.run(job, options)
      busy = true
      try {
        return await here.run(job, options)
      } finally {
        busy = false
      }
    },
    close: () => threads.close(),
  }
}
