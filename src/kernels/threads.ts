import { setImmediate as nextTurn } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import type { QuantizedBlocks } from './blocks.ts'
import type { Bnb4 } from './bnb4.ts'
import { type BlockTask, doTask } from './task.ts'

/** What a thread says: that it is there, and the outcome of each task, in order. */
export type FromThread = 'up' | { result: QuantizedBlocks | Bnb4 } | { error: unknown }

interface Waiting {
  task: () => BlockTask
  resolve(result: QuantizedBlocks | Bnb4): void
  reject(error: unknown): void
}

/** Tasks that a thread has at a time: one to work on, and one for when it is done. */
const IN_HAND = 2

/**
 * Threads for tasks of a few milliseconds. They take tasks once they are up; until then, and beside them, this thread does what is
 * waiting. So nothing ever waits for a thread to start.
 */
export class BlockThreads {
  readonly #waiting: Waiting[] = []
  readonly #workers = new Map<Worker, Waiting[]>()
  readonly #isUp = new Set<Worker>()
  readonly #signal: AbortSignal | undefined
  #isWorking = false

  constructor(entry: URL, count: number, signal?: AbortSignal) {
    this.#signal = signal
    for (let i = 0; i < count; i++) this.#start(entry)
  }

  /** @param task made when its turn comes, so that little is copied ahead */
  run(task: () => BlockTask): Promise<QuantizedBlocks | Bnb4> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ task, resolve, reject })
      for (const [worker, inHand] of this.#workers)
        if (inHand.length < IN_HAND && this.#isUp.has(worker)) this.#feed(worker)
      void this.#work()
    })
  }

  /** Ends all threads; what has not been done fails. */
  async close(): Promise<void> {
    const left = [...this.#waiting.splice(0), ...[...this.#workers.values()].flat()]
    const workers = [...this.#workers.keys()]
    this.#workers.clear()
    for (const { reject } of left) reject(new Error('the pool was closed'))
    await Promise.all(workers.map((worker) => worker.terminate()))
  }

  #start(entry: URL): void {
    const worker = new Worker(entry, { name: 'unplugin-onnx kernels' })
    this.#workers.set(worker, [])
    worker.on('message', (message: FromThread) => {
      const inHand = this.#workers.get(worker)
      if (!inHand) return
      if (message === 'up') this.#isUp.add(worker)
      else {
        const { resolve, reject } = inHand.shift()!
        if ('error' in message) reject(message.error)
        else resolve(message.result)
      }
      this.#feed(worker)
    })
    worker.on('error', (error) => this.#bury(worker, error))
    worker.on('exit', (code) => this.#bury(worker, new Error(`a thread ended with exit code ${code}`)))
  }

  /** A thread that dies fails what it had in hand. */
  #bury(worker: Worker, error: unknown): void {
    const inHand = this.#workers.get(worker)
    this.#workers.delete(worker)
    for (const { reject } of inHand ?? []) reject(error)
  }

  #feed(worker: Worker): void {
    const inHand = this.#workers.get(worker)!
    while (inHand.length < IN_HAND) {
      const next = this.#take()
      if (!next) return
      inHand.push(next)
      try {
        worker.postMessage(next.task())
      } catch (error) {
        inHand.pop()
        next.reject(error)
      }
    }
  }

  /** The next task; none if they have been called off. */
  #take(): Waiting | undefined {
    if (this.#signal?.aborted) for (const { reject } of this.#waiting.splice(0)) reject(this.#signal.reason)
    return this.#waiting.shift()
  }

  /** Works on this thread as long as something is waiting, listening to the others after each task. */
  async #work(): Promise<void> {
    if (this.#isWorking) return
    this.#isWorking = true
    for (;;) {
      await nextTurn()
      const next = this.#take()
      if (!next) break
      try {
        next.resolve(doTask(next.task()))
      } catch (error) {
        next.reject(error)
      }
    }
    this.#isWorking = false
  }
}
