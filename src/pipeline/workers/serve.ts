import { parentPort } from 'node:worker_threads'
import type { AnyPass } from '../../passes/pass.ts'
import { toWire, type WireError } from '../failure.ts'
import { type BuildResult, type HashResult, type Job, type JobProgress, runJob } from './jobs.ts'

/** What the main thread sends: a job, or that one is called off. */
export type ToWorker = { id: number; job: Job } | { cancel: number }

/** What a worker sends. Errors travel as data: thrown, they would lose their class and code. */
export type FromWorker =
  | { id: number; progress: JobProgress }
  | { id: number; result: HashResult | BuildResult }
  | { id: number; error: WireError }

/** Progress is told at most this often. */
const PROGRESS_MS = 50

/** Makes this thread do jobs, with `passes` instead of all that there are. */
export function serveJobs(passes?: readonly AnyPass[]): void {
  const port = parentPort!
  const running = new Map<number, AbortController>()
  const send = (message: FromWorker) => port.postMessage(message)
  const work = async (id: number, job: Job): Promise<void> => {
    const { signal } = running.set(id, new AbortController()).get(id)!
    let last = 0
    const progress = (progress: JobProgress) => {
      const now = Date.now()
      if (progress.fraction < 1 && now - last < PROGRESS_MS) return
      last = now
      send({ id, progress })
    }
    try {
      send({ id, result: await runJob(job, { passes, progress, signal }) })
    } catch (error) {
      send({ id, error: toWire(error) })
    } finally {
      running.delete(id)
    }
  }
  port.on('message', (message: ToWorker) => {
    if ('cancel' in message) running.get(message.cancel)?.abort()
    else void work(message.id, message.job)
  })
}
