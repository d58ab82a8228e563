import type { AnyPass } from '../../passes/pass.ts'
import { throwIfAborted } from '../failure.ts'
import { stat } from '../quick-files.ts'
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

/** Does jobs on this thread, with `passes` instead of all that there are. */
function inlineExecutor(passes?: readonly AnyPass[]): Executor {
  return {
    parallel: false,
    async run(job, { signal, onProgress } = {}) {
      throwIfAborted(signal)
      return runJob(job, {
        passes,
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
  /** What this thread does itself, of work that one thread can do. */
  thisThread: 'hashes' | 'builds' | undefined
  /** The passes to choose from, on this thread; threads know all. */
  passes: readonly AnyPass[] | undefined
}

/**
 * Worker threads, or this thread. Node can't load our TypeScript sources into a worker, so builds run on this thread when
 * the project itself is not built (its own tests).
 */
export function defaultExecutor({ workers, maxThreads, thisThread, passes }: ExecutorConfig): Executor {
  if (workers === false || (!(workers instanceof URL) && import.meta.url.endsWith('.ts'))) return inlineExecutor(passes)
  const threads = new Threads(workers instanceof URL ? workers : undefined, maxThreads)
  if (thisThread === 'hashes') return alsoHere(threads, inlineExecutor(passes), async ({ kind }) => kind === 'hash')
  if (thisThread === 'builds') {
    const isSmall = async (file: string): Promise<boolean> => (await stat(file)).size < SPECULATE_BYTES
    return alsoHere(threads, inlineExecutor(passes), async (job) => job.kind === 'build' || isSmall(job.file))
  }
  return threads
}

/** From this size on a model that the cache does not know is built while it is hashed, so the hash needs a thread then. */
export const SPECULATE_BYTES: number = 4 << 20

/** Threads, and one job at a time of those that `isOurs` on this thread. */
function alsoHere(threads: Executor, here: Executor, isOurs: (job: Job) => Promise<boolean>): Executor {
  let busy = false
  return {
    parallel: true,
    async run(job, options) {
      if (!(await isOurs(job)) || busy) return threads.run(job, options)
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
