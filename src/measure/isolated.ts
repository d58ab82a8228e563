import { type ChildProcess, fork } from 'node:child_process'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { Tensor } from '../graph/tensor.ts'
import type { DType } from '../onnx/dtypes.ts'
import { OnnxError } from '../onnx/errors.ts'
import type { SessionOptions } from '../ort/session.ts'
import { canCross, elementsOf } from '../ort/tensors.ts'

/** A tensor on its way to the process. */
type WireFeed = { dtype: DType; dims: number[]; data: ArrayBufferView | string[] }
/** A tensor on its way back. */
type WireTensor = WireFeed & { data: Uint8Array | string[] }

/** One input or output as ONNX Runtime reports it; `type` is '' for what is no tensor. */
export interface IoMetadata {
  name: string
  isTensor: boolean
  type: string
  shape: (number | string)[]
}

/** A model that runs in the other process. */
export interface IsolatedSession {
  readonly inputs: readonly IoMetadata[]
  readonly outputs: readonly IoMetadata[]
  /** What opening took: milliseconds, and growth of the process in bytes. */
  readonly opening: { ms: number; memory: number }
  /** Runs the model once. Reads all outputs, or those named; what is no tensor is left out. */
  run(feeds: Feeds, wanted?: readonly string[]): Promise<Record<string, Tensor>>
  /**
   * Runs the model `warmUp + runs` times and returns the milliseconds of the last `runs`, and the process's memory in bytes:
   * now, and the most it has ever been.
   */
  time(feeds: Feeds, warmUp: number, runs: number): Promise<{ times: number[]; memory: number; peak: number }>
  release(): Promise<void>
}

/** Values of a model's inputs by name. */
export type Feeds = Readonly<Record<string, Tensor>>

interface Waiting {
  resolve(result: never): void
  reject(error: OnnxError): void
}

/**
 * ONNX Runtime in a process of its own: where its native code crashes, runs out of memory or hangs on to files, the build
 * gets an error and goes on. The process starts with the first session and must be ended with `close`.
 */
export class IsolatedOrt {
  #child: ChildProcess | undefined
  readonly #waiting = new Map<number, Waiting>()
  #lastId = 0

  /**
   * Opens a model file, or a model's bytes.
   *
   * @throws OnnxError `ORT_REFUSED` in ONNX Runtime's own words, `ORT_CRASHED` if the process ended
   */
  async open(model: string | Uint8Array, options: SessionOptions = {}): Promise<IsolatedSession> {
    const opened = await this.#ask<{
      session: number
      inputs: IoMetadata[]
      outputs: IoMetadata[]
      ms: number
      memory: number
    }>({ kind: 'open', model, options: { graphOptimizationLevel: 'disabled', ...options } }, refused)
    const { session } = opened
    const failed = (message: string): OnnxError =>
      new OnnxError('ORT_RUN_FAILED', `ONNX Runtime failed to run the model: ${message}`)
    return {
      inputs: opened.inputs,
      outputs: opened.outputs,
      opening: { ms: opened.ms, memory: opened.memory },
      run: async (feeds, wanted) => {
        // Sequences and maps cannot be read in Node.
        const tensors = opened.outputs.filter(({ isTensor }) => isTensor).map(({ name }) => name)
        const all = tensors.length === opened.outputs.length ? undefined : tensors
        const job = { kind: 'run', session, feeds: toWire(feeds), wanted: wanted ?? all }
        return fromWire(await this.#ask<Record<string, WireTensor>>(job, failed))
      },
      time: (feeds, warmUp, runs) => this.#ask({ kind: 'time', session, feeds: toWire(feeds), warmUp, runs }, failed),
      release: () => this.#ask({ kind: 'release', session }, failed),
    }
  }

  /** The process, while there is one. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Ends the process. */
  close(): void {
    this.#child?.kill('SIGKILL')
    this.#child = undefined
  }

  #ask<T>(job: object, explain: (message: string) => OnnxError): Promise<T> {
    const id = ++this.#lastId
    return new Promise<T>((resolve, reject) => {
      this.#child ??= this.#start()
      this.#waiting.set(id, { resolve: resolve as (result: never) => void, reject })
      const child = this.#child
      child.once(`error:${id}`, (message: string) => reject(explain(message)))
      child.send({ id, ...job }, (error) => error && this.#crashed(child, error.message))
    })
  }

  #start(): ChildProcess {
    const entry = pathToFileURL(createRequire(import.meta.url).resolve('onnxruntime-node')).href
    const child = fork(new URL('./child.mjs', import.meta.url), [entry], {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      execArgv: [],
    })
    child.setMaxListeners(0)
    child.on('message', ({ id, result, error }: { id: number; result?: unknown; error?: string }) => {
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error === undefined) waiting?.resolve(result as never)
      else child.emit(`error:${id}`, error)
      child.removeAllListeners(`error:${id}`)
    })
    child.on('error', (error) => this.#crashed(child, error.message))
    child.on('exit', (code, signal) => this.#crashed(child, signal ?? `exit code ${code}`))
    return child
  }

  #crashed(child: ChildProcess, how: string): void {
    if (this.#child === child) this.#child = undefined
    for (const { reject } of this.#waiting.values())
      reject(
        new OnnxError('ORT_CRASHED', `ONNX Runtime crashed while it loaded or ran the model (${how})`, {
          hint: 'The model makes native code fail. Leave passes out, one by one, to find the one that matters.',
        }),
      )
    this.#waiting.clear()
  }
}

function refused(message: string): OnnxError {
  // The type code of bfloat16, which JavaScript has no arrays for.
  const hint = /Unsupported data type: 16\b/.test(message)
    ? 'Inputs or outputs of bfloat16 cannot be used in Node. Export the model with float32 or float16 ones.'
    : /Could not find an implementation|Failed to find kernel/.test(message)
      ? 'The CPU has no kernel for it. What only a GPU computes (bfloat16, some fused operators) can not be run here.'
      : undefined
  return new OnnxError(
    'ORT_REFUSED',
    // The place of the error tells the file; here it may be a temporary one.
    `ONNX Runtime can't load the model: ${message.replace(/Load model from .*? failed: ?/s, '')}`,
    hint === undefined ? {} : { hint },
  )
}

function toWire(feeds: Feeds): Record<string, WireFeed> {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, tensor]) => [
      name,
      {
        dtype: tensor.dtype!,
        dims: [...tensor.dims],
        // What cannot cross is for the process to refuse.
        data: canCross(tensor.dtype) ? elementsOf(tensor) : tensor.bytes(),
      },
    ]),
  )
}

function fromWire(tensors: Readonly<Record<string, WireTensor>>): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { dtype, dims, data }]) => [
      name,
      Array.isArray(data) ? Tensor.strings(dims, data) : Tensor.of(dtype, dims, data),
    ]),
  )
}
