import { modelToProto } from '../../../graph/export.ts'
import type { Model } from '../../../graph/model.ts'
import type { Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
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

/**
 * Opens a model with optimizations disabled and `values` of its main graph as outputs besides its own. Inputs and constants
 * cannot be observed this way, except inputs, which come as they were fed.
 */
export async function observe(
  model: Model,
  values: readonly Value[],
  { threads, signal }: { threads: number; signal?: AbortSignal | undefined },
): Promise<Observer> {
  const proto = modelToProto(model)
  const outputs = new Set(model.graph.outputs.map(({ name }) => name))
  const inner = values.filter(({ isInput, name }) => !isInput && !outputs.has(name))
  const graph = { ...proto.graph!, output: [...proto.graph!.output!, ...inner.map(({ name }) => ({ name }))] }
  const session: Session = await openSession(encodeToBytes({ ...proto, graph }), { intraOpNumThreads: threads })
  const seen = values.map((value) => ({ value, name: value.name, isInput: value.isInput }))
  const wanted = values.filter(({ isInput }) => !isInput).map(({ name }) => name)
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
    release: () => session.release(),
  }
}
