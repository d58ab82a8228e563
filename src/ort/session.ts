import type { InferenceSession } from 'onnxruntime-node'
import type { Tensor } from '../graph/tensor.ts'
import { OnnxError } from '../onnx/errors.ts'
import { loadOrt } from './load.ts'
import { fromOrt, toOrt } from './tensors.ts'

export type SessionOptions = InferenceSession.SessionOptions

/** A session of onnxruntime-node over this project's tensors. Release it when done: sessions hold the model's weights. */
export interface Session {
  readonly raw: InferenceSession
  readonly inputs: InferenceSession['inputMetadata']
  readonly outputs: InferenceSession['outputMetadata']
  /** Runs the model. Reads all outputs, or those named. Non-tensor outputs (sequences, maps) are left out. */
  run(feeds: Readonly<Record<string, Tensor>>, wanted?: readonly string[]): Promise<Record<string, Tensor>>
  release(): Promise<void>
}

/**
 * Opens a model, from its bytes or its path (then external data is found beside it). Defaults: no optimization, silent.
 *
 * @throws OnnxError `ORT_REFUSED` with ONNX Runtime's own words if it can't load the model
 */
export async function openSession(model: Uint8Array | string, options: SessionOptions = {}): Promise<Session> {
  const ort = await loadOrt()
  const settings: SessionOptions = { graphOptimizationLevel: 'disabled', logSeverityLevel: 4, ...options }
  let raw: InferenceSession
  try {
    raw = await (typeof model === 'string'
      ? ort.InferenceSession.create(model, settings)
      : ort.InferenceSession.create(model as Uint8Array<ArrayBuffer>, settings))
  } catch (cause) {
    throw new OnnxError('ORT_REFUSED', `ONNX Runtime can't load the model: ${(cause as Error).message}`, { cause })
  }
  return {
    raw,
    inputs: raw.inputMetadata,
    outputs: raw.outputMetadata,
    async run(feeds, wanted) {
      const given: Record<string, Awaited<ReturnType<typeof toOrt>>> = {}
      for (const [name, tensor] of Object.entries(feeds)) given[name] = await toOrt(tensor)
      let results: InferenceSession.ReturnType
      try {
        results = await (wanted ? raw.run(given, wanted) : raw.run(given))
      } catch (cause) {
        throw new OnnxError('ORT_RUN_FAILED', `ONNX Runtime failed to run the model: ${(cause as Error).message}`, {
          cause,
        })
      }
      const outputs: Record<string, Tensor> = {}
      for (const [name, value] of Object.entries(results)) if ('dims' in value) outputs[name] = fromOrt(value as never)
      return outputs
    },
    release: () => raw.release(),
  }
}
