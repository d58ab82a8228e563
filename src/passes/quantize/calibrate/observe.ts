import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { modelToProto } from '../../../graph/export.ts'
import type { Model } from '../../../graph/model.ts'
import type { Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import { writeModel } from '../../../graph/write.ts'
import { encodeToBytes } from '../../../onnx/encode.ts'
import { openSession, type Session } from '../../../ort/session.ts'
import type { CalibrationData } from './data/index.ts'

/** A model that shows the values inside it. */
export interface Observer {
  /**
   * Runs the model once per sample and gives the values to `see`, one run after the other; nothing is kept between runs. Names are
   * those at the time of opening.
   *
   * @returns number of samples
   */
  run(data: CalibrationData, see: (value: Value, tensor: Tensor, sample: number, name: string) => void): Promise<number>
  release(): Promise<void>
}

export interface ObserveOptions {
  threads: number
  signal?: AbortSignal | undefined
  /** Models of more bytes of weights than this go to ONNX Runtime through files. Default 1 GiB. */
  inMemory?: number
}

const IN_MEMORY = 2 ** 30

/**
 * Opens a model with optimizations disabled and `values` of its main graph as outputs besides its own. Constants cannot be
 * observed; inputs come as they were fed.
 */
export async function observe(
  model: Model,
  values: readonly Value[],
  { threads, signal, inMemory = IN_MEMORY }: ObserveOptions,
): Promise<Observer> {
  const outputs = new Set(model.graph.outputs)
  const inner = values.filter((value) => !value.isInput && !outputs.has(value))
  const { session, dispose } = await withOutputs(model, inner, () => openModel(model, threads, inMemory))
  const seen = values.map((value) => ({ value, name: value.name, isInput: value.isInput }))
  const wanted = seen.flatMap(({ name, isInput }) => (isInput ? [] : [name]))
  // A run must ask for something.
  const asked = wanted.length ? wanted : session.outputs.slice(0, 1).map(({ name }) => name)
  return {
    async run(data, see) {
      let samples = 0
      for await (const feeds of data.open()) {
        signal?.throwIfAborted()
        const results = await session.run(feeds, asked)
        for (const { value, name, isInput } of seen) {
          const tensor = isInput ? feeds[name] : results[name]
          if (tensor) see(value, tensor, samples, name)
        }
        samples++
      }
      return samples
    },
    async release() {
      await session.release()
      dispose()
    },
  }
}

/** Does something while values are outputs of the model. */
async function withOutputs<T>({ graph }: Model, values: readonly Value[], use: () => Promise<T>): Promise<T> {
  const first = graph.outputs.length
  for (const value of values) graph.addOutput(value)
  try {
    return await use()
  } finally {
    for (let i = graph.outputs.length - 1; i >= first; i--) graph.removeOutput(i)
  }
}

async function openModel(
  model: Model,
  threads: number,
  inMemory: number,
): Promise<{ session: Session; dispose: () => void }> {
  const options = { intraOpNumThreads: threads }
  if (weightBytes(model) <= inMemory)
    return { session: await openSession(encodeToBytes(modelToProto(model)), options), dispose: () => {} }
  const folder = mkdtempSync(join(tmpdir(), 'unplugin-onnx-'))
  const dispose = (): void => rmSync(folder, { recursive: true, force: true })
  try {
    const path = join(folder, 'model.onnx')
    await writeModel(model, path, { external: 'always', location: 'model.onnx_data' })
    return { session: await openSession(path, options), dispose }
  } catch (error) {
    dispose()
    throw error
  }
}

function weightBytes(model: Model): number {
  let bytes = 0
  for (const graph of model.allGraphs()) for (const { tensor } of graph.initializers) bytes += tensor?.byteLength ?? 0
  return bytes
}
