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

/**
 * Worker threads, or this thread. Node can't load our TypeScript sources into a worker, so builds run on this thread when
 * the project itself is not built (its own tests).
 */
export function defaultExecutor(
  workers: boolean | URL | undefined,
  maxThreads: number,
  load: () => Promise<readonly AnyPass[]>,
): Executor {
  if (workers instanceof URL) return new Threads(workers, maxThreads)
  if (workers === false || import.meta.url.endsWith('.ts')) return inlineExecutor(load)
  return new Threads(undefined, maxThreads)
}
