import type { Worker } from 'node:worker_threads'
import { OnnxError } from '../../onnx/errors.ts'
import { abortError, fromWire, outOfMemory, throwIfAborted } from '../failure.ts'
import { startWorker, takeEarly } from './early.ts'
import type { Executor, RunOptions } from './executor.ts'
import type { Job, ResultOf } from './jobs.ts'
import type { FromWorker, ToWorker } from './serve.ts'

interface Task {
  id: number
  job: Job
  options: RunOptions
  resolve(result: unknown): void
  reject(error: unknown): void
}

interface Thread {
  worker: Worker
  task: Task | undefined
  idle: NodeJS.Timeout | undefined
}

/** Threads that had nothing to do for this long end, and give their memory back. */
const IDLE_MS = 10_000

/**
 * Does jobs in worker threads, one at a time in each. Threads start when there is work, end when there is none for a while,
 * and keep the process alive only while they work. A thread that dies (exit, out of memory) fails its job and nothing
 * else. A job that is called off ends at its next checkpoint, as native code can't be interrupted, and only then does
 * `run` reject: what it wrote can be removed then.
 */
export class Threads implements Executor {
  readonly parallel = true
  readonly #entry: URL
  readonly #max: number
  readonly #isOwn: boolean
  readonly #threads = new Set<Thread>()
  readonly #queue: Task[] = []
  #lastId = 0

  /** @param entry file of the threads; that of the package unless given */
  constructor(entry: URL | undefined, max: number) {
    this.#isOwn = entry === undefined
    this.#entry = entry ?? new URL('./worker.cjs', import.meta.url)
    this.#max = max
  }

  async run<J extends Job>(job: J, options: RunOptions = {}): Promise<ResultOf<J>> {
    const { signal } = options
    throwIfAborted(signal)
    const id = ++this.#lastId
    const onAbort = () => this.#cancel(id)
    signal?.addEventListener('abort', onAbort)
    try {
      return await new Promise<ResultOf<J>>((resolve, reject) => {
        this.#queue.push({ id, job, options, resolve: resolve as (result: unknown) => void, reject })
        this.#pump()
      })
    } catch (error) {
      throw signal?.aborted ? abortError(signal) : error
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** Ends all threads. Jobs that still run fail; new jobs start new threads. */
  async close(): Promise<void> {
    for (const { reject } of this.#queue.splice(0)) reject(ended('the pipeline was closed'))
    await Promise.all([...this.#threads].map(({ worker }) => worker.terminate()))
  }

  #cancel(id: number): void {
    const queued = this.#queue.findIndex((task) => task.id === id)
    if (queued >= 0) this.#queue.splice(queued, 1)[0]!.reject(ended('its job was called off'))
    for (const { task, worker } of this.#threads)
      if (task?.id === id) worker.postMessage({ cancel: id } satisfies ToWorker)
  }

  #pump(): void {
    while (this.#queue.length > 0) {
      const free = [...this.#threads].find(({ task }) => !task)
      if (!free && this.#threads.size >= this.#max) return
      const thread = free ?? this.#start()
      const task = this.#queue.shift()!
      clearTimeout(thread.idle)
      thread.task = task
      thread.worker.ref()
      thread.worker.postMessage({ id: task.id, job: task.job } satisfies ToWorker)
    }
  }

  #start(): Thread {
    const thread: Thread = {
      worker: (this.#isOwn && takeEarly()) || startWorker(this.#entry),
      task: undefined,
      idle: undefined,
    }
    this.#threads.add(thread)
    thread.worker.on('message', (message: FromWorker) => this.#receive(thread, message))
    thread.worker.on('error', (error: NodeJS.ErrnoException) =>
      this.#bury(thread, error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? outOfMemory(error) : ended(error.message, error)),
    )
    thread.worker.on('exit', (code) => this.#bury(thread, ended(`exit code ${code}`)))
    return thread
  }

  #receive(thread: Thread, message: FromWorker): void {
    const { task } = thread
    if (message.id !== task?.id) return
    if ('progress' in message) {
      task.options.onProgress?.(message.progress)
      return
    }
    thread.task = undefined
    thread.worker.unref()
    thread.idle = setTimeout(() => thread.worker.terminate(), IDLE_MS).unref()
    if ('error' in message) task.reject(fromWire(message.error))
    else if (task.options.signal?.aborted) task.reject(abortError(task.options.signal))
    else task.resolve(message.result)
    this.#pump()
  }

  #bury(thread: Thread, error: OnnxError): void {
    clearTimeout(thread.idle)
    this.#threads.delete(thread)
    thread.task?.reject(error)
    thread.task = undefined
    this.#pump()
  }
}

function ended(why: string, cause?: unknown): OnnxError {
  return new OnnxError('WORKER_CRASHED', `the worker thread that built this model ended: ${why}`, {
    cause,
    hint: 'Build it alone with the command line to see whether it happens again; if so, please report it.',
  })
}
