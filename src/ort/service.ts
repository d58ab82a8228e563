import { modelToProto } from '../graph/export.ts'
import type { Model } from '../graph/model.ts'
import type { Tensor } from '../graph/tensor.ts'
import { encodeToBytes } from '../onnx/encode.ts'
import { openSession, type Session, type SessionOptions } from './session.ts'
import { inferTypes, type TypingOptions, type TypingReport } from './typing/index.ts'

/** What passes may ask of ONNX Runtime. */
export interface OrtService {
  /** Puts the type of every value into `Value.type`; see `inferTypes`. */
  inferTypes(model: Model, options?: TypingOptions): Promise<TypingReport>
  /** Opens a session on a model as it stands (weights are read into memory), or on a model file. */
  open(model: Model | string, options?: SessionOptions): Promise<Session>
  /** Runs a small model once. */
  evaluate(model: Model, feeds?: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>>
}

/** ONNX Runtime in this process. */
export function createOrtService(): OrtService {
  const open: OrtService['open'] = (model, options) =>
    openSession(typeof model === 'string' ? model : encodeToBytes(modelToProto(model)), options)
  return {
    inferTypes,
    open,
    async evaluate(model, feeds = {}) {
      const session = await open(model, { intraOpNumThreads: 1 })
      try {
        return await session.run(feeds)
      } finally {
        await session.release()
      }
    },
  }
}
