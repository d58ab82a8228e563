import { MessageChannel } from 'node:worker_threads'
import type { Tinypool } from 'tinypool'
import { OnnxError } from '../../onnx/errors.ts'
import type { AnyPass } from '../../passes/pass.ts'
import { abortError, fromWire, outOfMemory, throwIfAborted } from '../failure.ts'
import { type Job, type JobProgress, type ResultOf, runJob, type WorkerReply } from './jobs.ts'

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

/** Workers that had nothing to do for this long end, and give their memory back. */
const IDLE_MS = 10_000

/**
 * Does jobs in worker threads, which start with the first job and never keep the process alive. A job that is called off
 * ends at its next checkpoint (native code can't be interrupted), but its caller is told at once.
 */
export function threadExecutor(entry: URL, maxThreads: number): Executor {
  let starting: Promise<Tinypool> | undefined
  const start = async (): Promise<Tinypool> => {
    const { Tinypool } = await import('tinypool')
    return new Tinypool({ filename: entry.href, minThreads: 0, maxThreads, idleTimeout: IDLE_MS })
  }
  return {
    parallel: true,
    async run<J extends Job>(job: J, { signal, onProgress }: RunOptions = {}): Promise<ResultOf<J>> {
      throwIfAborted(signal)
      starting ??= start()
      const pool = await starting
      const { port1, port2 } = new MessageChannel()
      port1.on('message', (progress: JobProgress) => onProgress?.(progress))
      port1.unref()
      let onAbort: (() => void) | undefined
      const aborted = new Promise<never>((_, reject) => {
        onAbort = () => {
          port1.postMessage('cancel')
          reject(abortError(signal!))
        }
        signal?.addEventListener('abort', onAbort, { once: true })
      })
      const answer = pool.run({ job, port: port2 }, { transferList: [port2] }) as Promise<WorkerReply>
      // The port closes when the worker is done with it, also after the caller was told that its job is called off.
      answer.catch(() => {}).finally(() => port1.close())
      try {
        const reply = await Promise.race([answer, aborted]).catch((error: unknown) => {
          throw error instanceof OnnxError ? error : crashed(error)
        })
        if (!reply.ok) throw fromWire(reply.error)
        return reply.result as ResultOf<J>
      } finally {
        signal?.removeEventListener('abort', onAbort!)
      }
    },
    async close() {
      await (await starting)?.destroy()
      starting = undefined
    },
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
  if (workers instanceof URL) return threadExecutor(workers, maxThreads)
  if (workers === false || import.meta.url.endsWith('.ts')) return inlineExecutor(load)
  return threadExecutor(new URL('./worker.js', import.meta.url), maxThreads)
}

function crashed(error: unknown): OnnxError {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ERR_WORKER_OUT_OF_MEMORY') return outOfMemory(error)
  return new OnnxError('WORKER_CRASHED', `the worker thread that built this model ended: ${message}`, {
    cause: error,
    hint: 'Build it alone with the command line to see whether it happens again; if so, please report it.',
  })
}
