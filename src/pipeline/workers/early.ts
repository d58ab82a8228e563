import { Worker } from 'node:worker_threads'
import { disableTelemetry } from '../../ort/telemetry.ts'

let waiting: Worker | undefined

/** A thread that does jobs. */
export function startWorker(entry: URL): Worker {
  disableTelemetry()
  return new Worker(entry, { name: 'unplugin-onnx' })
}

/**
 * Starts the first thread before the rest of the program is loaded, which takes as long: for programs that are about to build
 * something. If nothing is built after all it ends with the program.
 */
export function startEarly(): void {
  if (import.meta.url.endsWith('.ts')) return
  waiting = startWorker(new URL('./worker.cjs', import.meta.url))
  waiting.unref()
}

/** The thread that was started early, for whoever asks first. */
export function takeEarly(): Worker | undefined {
  const worker = waiting
  waiting = undefined
  return worker
}
