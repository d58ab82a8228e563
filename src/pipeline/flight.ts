import { setMaxListeners } from 'node:events'
import { abortError, throwIfAborted } from './failure.ts'

interface Flight<T> {
  promise: Promise<T>
  controller: AbortController
  waiting: number
}

/**
 * Lets concurrent requests with one key share one run. A caller that aborts leaves alone; the run itself is called off
 * when the last caller has left. Nothing is kept once the run has ended.
 */
export class Flights<T> {
  readonly #flights = new Map<string, Flight<T>>()

  get size(): number {
    return this.#flights.size
  }

  /** Calls off everything that runs. */
  abort(): void {
    for (const { controller } of this.#flights.values()) controller.abort()
  }

  /** Resolves when nothing is in the air any more. */
  async settled(): Promise<void> {
    while (this.#flights.size > 0) await Promise.allSettled([...this.#flights.values()].map(({ promise }) => promise))
  }

  async join(key: string, signal: AbortSignal | undefined, start: (signal: AbortSignal) => Promise<T>): Promise<T> {
    throwIfAborted(signal)
    let flight = this.#flights.get(key)
    if (!flight || flight.controller.signal.aborted) {
      const controller = new AbortController()
      // Every file that is hashed for it listens, and calibration data may be many.
      setMaxListeners(0, controller.signal)
      const created: Flight<T> = { controller, waiting: 0, promise: start(controller.signal) }
      const land = () => {
        if (this.#flights.get(key) === created) this.#flights.delete(key)
      }
      created.promise.then(land, land)
      this.#flights.set(key, created)
      flight = created
    }
    const joined = flight
    joined.waiting++
    const leave = () => {
      if (--joined.waiting === 0) joined.controller.abort(signal?.reason)
    }
    if (!signal) return joined.promise.finally(() => joined.waiting--)
    return new Promise<T>((resolve, reject) => {
      const onAbort = () => {
        leave()
        reject(abortError(signal))
      }
      signal.addEventListener('abort', onAbort, { once: true })
      joined.promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
    })
  }
}
