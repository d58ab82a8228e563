import { throwIfAborted } from './failure.ts'

interface Waiter {
  weight: number
  enter(): void
  signal: AbortSignal | undefined
}

/**
 * Bounds what runs at once: at most `slots` tasks whose weights (bytes of memory) add up to at most `budget`. A task
 * heavier than the whole budget runs alone. First come, first served, so a heavy task is never starved by light ones.
 */
export class Gate {
  readonly #slots: number
  readonly #budget: number
  readonly #queue: Waiter[] = []
  #running = 0
  #weight = 0

  constructor(slots: number, budget: number) {
    this.#slots = Math.max(1, slots)
    this.#budget = budget
  }

  /** Number of tasks that run or wait. */
  get load(): number {
    return this.#running + this.#queue.length
  }

  async run<T>(weight: number, signal: AbortSignal | undefined, task: () => Promise<T>): Promise<T> {
    await new Promise<void>((resolve) => {
      this.#queue.push({ weight, enter: resolve, signal })
      signal?.addEventListener('abort', () => this.#pump(), { once: true })
      this.#pump()
    })
    try {
      throwIfAborted(signal)
      return await task()
    } finally {
      this.#running--
      this.#weight -= weight
      this.#pump()
    }
  }

  #pump(): void {
    // Those who gave up need no place in the queue: they enter at once, find themselves aborted, and leave.
    for (const [index, waiter] of [...this.#queue.entries()].reverse())
      if (waiter.signal?.aborted) this.#enter(this.#queue.splice(index, 1)[0]!)
    for (;;) {
      const next = this.#queue[0]
      if (!next || this.#running >= this.#slots) return
      if (this.#running > 0 && this.#weight + next.weight > this.#budget) return
      this.#enter(this.#queue.shift()!)
    }
  }

  #enter(waiter: Waiter): void {
    this.#running++
    this.#weight += waiter.weight
    waiter.enter()
  }
}
