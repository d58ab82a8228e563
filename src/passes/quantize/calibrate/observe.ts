import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { copyModel } from '../../../graph/copy.ts'
import { modelToProto } from '../../../graph/export.ts'
import type { Model } from '../../../graph/model.ts'
import { withDeclaredShapes } from '../../../graph/shapes/declared.ts'
import type { Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import { writeModel } from '../../../graph/write.ts'
import { exposeRounds } from '../../../measure/bodies.ts'
import { encodeToBytes } from '../../../onnx/encode.ts'
import { OnnxError } from '../../../onnx/errors.ts'
import { openSession, type Session, type SessionOptions } from '../../../ort/session.ts'
import { exposeSummary } from './bodies.ts'
import type { CalibrationData } from './data/index.ts'
import { failedSample } from './failed-sample.ts'
import { type MaskLimits, NO_MASKS } from './statistics.ts'
import type { Watched } from './worker.ts'

/** A model that shows the values inside it. */
export interface Observer {
  /**
   * Runs the model once per sample and gives the values to `see`, one run after the other; nothing is kept between runs. Names are
   * those at the time of opening.
   *
   * @returns number of samples
   */
  run(data: CalibrationData, see: (value: Value, tensor: Tensor, sample: number, name: string) => void): Promise<number>
  /** The values, for another thread that opens `file`. */
  readonly watched: readonly Watched[]
  /** Writes the model with all its outputs to a file, which goes with `release`. */
  file(): Promise<string>
  release(): Promise<void>
}

export interface ObserveOptions {
  threads: number
  signal?: AbortSignal | undefined
  /** What counts as a number in bodies of If, Loop and Scan. Default: everything finite. */
  limits?: MaskLimits | undefined
  /** Of values in bodies all elements of all rounds are wanted, along one axis, not a summary. Those that cannot be had are left out. */
  rounds?: boolean
  /** Models of more bytes of weights than this go to ONNX Runtime through files. Default 32 MiB. */
  inMemory?: number
}

/** ONNX Runtime maps files; of weights in memory there are three copies at a time. */
const IN_MEMORY = 2 ** 25

/** Where no file can be written, up to so many bytes of weights go through memory all the same. */
const WITHOUT_FILES = 2 ** 30

/** Models of fewer bytes of weights begin with one thread: to wake others takes longer than most of them. */
const SMALL = 2 ** 22

/** Milliseconds of a run from which on more threads pay, and how many runs have to take so long: one may have had to wait. */
const LONG_RUN = 4
const LONG_RUNS = 3

/**
 * Opens a model with optimizations disabled and `values` as outputs besides its own. Constants cannot be observed; inputs come as they
 * were fed. Of values in bodies of If, Loop and Scan comes a summary of all rounds: see `exposeSummary`; or with `rounds` what they were.
 */
export async function observe(
  model: Model,
  asked: readonly Value[],
  { threads, signal, limits = NO_MASKS, rounds = false, inMemory = IN_MEMORY }: ObserveOptions,
): Promise<Observer> {
  // Bodies are changed for good: in a copy.
  const bodies = asked.filter(({ graph }) => graph.owner)
  const copy = bodies.length ? copyModel(model) : undefined
  const inCopy = (value: Value): Value => copy?.values.get(value) ?? value
  const summaries = new Map<Value, Value>()
  for (const value of bodies) {
    const output = rounds ? exposeRounds(inCopy(value)) : exposeSummary(inCopy(value), limits)
    if (output) summaries.set(value, output)
  }
  const values = asked.filter((value) => !value.graph.owner || summaries.has(value))
  const opened = copy?.model ?? model
  const outputs = new Set(opened.graph.outputs)
  const inner = values.map((value) => summaries.get(value) ?? inCopy(value))
  const fresh = inner.filter((value) => !value.isInput && !outputs.has(value))
  // The model may change before it is known that its runs are long: they need its bytes then.
  let bytes =
    threads > 1 && opened.weightBytes < Math.min(SMALL, inMemory)
      ? await withOutputs(opened, fresh, async () => encodeToBytes(modelToProto(opened)))
      : undefined
  const {
    session: first,
    dispose,
    path: written,
  } = bytes
    ? { session: await openSession(bytes, optionsOf(1)), dispose: () => {}, path: undefined }
    : await withOutputs(opened, fresh, () => openModel(opened, { threads, inMemory }))
  let session = first
  const seen = values.map((value, i) => ({
    value,
    name: value.name,
    output: inner[i]!.name,
    isInput: value.isInput && !value.graph.owner,
  }))
  const wanted = seen.flatMap(({ output, isInput }) => (isInput ? [] : [output]))
  let long = 0
  let folder: string | undefined
  const watched = seen.map(({ output, isInput, value }) => ({
    name: isInput ? value.name : output,
    isInput,
    isSummary: value.graph.owner !== undefined && !rounds,
  }))
  // A run must ask for something.
  const outputNames = wanted.length ? wanted : session.outputs.slice(0, 1).map(({ name }) => name)
  return {
    async run(data, see) {
      let samples = 0
      for await (const feeds of data.open()) {
        signal?.throwIfAborted()
        const start = performance.now()
        const results = await session.run(feeds, outputNames).catch((error: unknown) => {
          throw failedSample(error, samples, feeds, opened.graph.inputs)
        })
        if (bytes && performance.now() - start > LONG_RUN && ++long === LONG_RUNS) {
          await session.release()
          session = await openSession(bytes, optionsOf(threads))
          bytes = undefined
        }
        for (const { value, name, output, isInput } of seen) {
          const tensor = isInput ? feeds[name] : results[output]
          if (tensor) see(value, tensor, samples, name)
        }
        samples++
      }
      return samples
    },
    watched,
    async file() {
      if (written !== undefined) return written
      folder ??= mkdtempSync(join(tmpdir(), 'unplugin-onnx-'))
      const path = join(folder, 'model.onnx')
      await withOutputs(opened, fresh, () => writeModel(opened, path, { location: 'model.onnx_data' }))
      return path
    },
    async release() {
      await session.release()
      if (folder) rmSync(folder, { recursive: true, force: true })
      dispose()
    },
  }
}

/** Does something while values are outputs of the model. */
async function withOutputs<T>(model: Model, values: readonly Value[], use: () => Promise<T>): Promise<T> {
  const { graph } = model
  const first = graph.outputs.length
  for (const value of values) graph.addOutput(value)
  try {
    return await withDeclaredShapes(model, use)
  } finally {
    for (let i = graph.outputs.length - 1; i >= first; i--) graph.removeOutput(i)
  }
}

/** A session, the model's file if there is one, and how to remove it when the session is released. */
export interface OpenedModel {
  session: Session
  path: string | undefined
  dispose(): void
}

/** Opens a model as it stands, by default without optimizations. */
export async function openModel(
  model: Model,
  {
    threads,
    inMemory = IN_MEMORY,
    level = 'disabled',
  }: { threads: number; inMemory?: number; level?: SessionOptions['graphOptimizationLevel'] },
): Promise<OpenedModel> {
  const options = optionsOf(threads, level)
  const file = model.weightBytes > inMemory ? await temporaryFile(model) : undefined
  if (!file) {
    const session = await openSession(encodeToBytes(modelToProto(model)), options)
    return { session, path: undefined, dispose() {} }
  }
  try {
    return { session: await openSession(file.path, options), ...file }
  } catch (error) {
    file.dispose()
    throw error
  }
}

/** Writes a model into a temporary folder. Undefined if that is not possible, and the model goes through memory too. */
async function temporaryFile(model: Model): Promise<{ path: string; dispose(): void } | undefined> {
  let folder: string | undefined
  const dispose = (): void => {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  }
  try {
    folder = mkdtempSync(join(tmpdir(), 'unplugin-onnx-'))
    const path = join(folder, 'model.onnx')
    await writeModel(model, path, { external: 'always', location: 'model.onnx_data' })
    return { path, dispose }
  } catch (error) {
    dispose()
    const isSystems = !(error instanceof OnnxError) && (error as NodeJS.ErrnoException).code?.startsWith('E')
    if (isSystems && model.weightBytes <= WITHOUT_FILES) return undefined
    throw error
  }
}

/** Between runs there is work for others: threads that wait for the next one must not keep processors busy. */
function optionsOf(threads: number, level: SessionOptions['graphOptimizationLevel'] = 'disabled'): SessionOptions {
  return {
    intraOpNumThreads: threads,
    graphOptimizationLevel: level!,
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  }
}
