import type { Model, ModelInfo, PredictingModel, PredictingSession, RunOptions, Session } from '../types.ts'

/** Outputs by name, as `run` gives them. */
export type Tensors = {
  readonly [name: string]: { readonly dims: readonly number[]; readonly data: ArrayLike<unknown> }
}

/** Makes plain values of outputs: one for each text or image that was passed. `names` are those of the outputs by their meaning. */
export type ReadResult = (
  outputs: Tensors,
  names: { readonly [meaning: string]: string },
  given: unknown,
  inputs: ModelInfo['inputs'],
) => unknown[] | Promise<unknown[]>

/** What an emitted module calls for a model whose steps end in something that has a plain value: sessions get `predict`. */
export function predicting(model: Model, read: ReadResult): PredictingModel {
  const names = model.info.result!.outputs
  const extend = (session: Session): PredictingSession => {
    const predict = async (given: unknown, options: RunOptions<string> = {}) => {
      const outputs = await session.run(given as never, { ...options, outputs: Object.values(names) as never[] })
      const results = await read(outputs as Tensors, names, given, session.inputs)
      return isSeveral(given) ? results : results[0]
    }
    return {
      ...session,
      predict: predict as PredictingSession['predict'],
      withAdapter: async (name) => extend(await session.withAdapter(name)),
    }
  }
  const start: unknown = async (options?: object) => extend(await model(options))
  return Object.assign(start as PredictingModel, model)
}

/** Whether several texts or images were passed, of which each has a result. */
function isSeveral(given: unknown): boolean {
  return Array.isArray((given as { text?: unknown }).text ?? given)
}
