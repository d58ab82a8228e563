import type { Model } from '../../graph/model.ts'
import { type Dim, tensorType } from '../../graph/types.ts'
import { OnnxError } from '../../onnx/errors.ts'

/** Sizes that the user asks for. */
export interface WantedSizes {
  /** Size of the first dimension of every input where it is dynamic. */
  batch?: number | undefined
  /** Shapes by input. */
  shapes: ReadonlyMap<string, readonly number[]>
  /** Sizes by the name of a dimension. */
  dimensions: ReadonlyMap<string, number>
}

/**
 * Gives the inputs of a model the sizes to make data for. The model is for making inputs only: nothing behind them changes.
 *
 * @throws OnnxError `INPUTS_INVALID` for inputs and dimensions that the model does not have, or sizes that it does not take
 */
export function fixInputs(model: Model, { batch, shapes, dimensions }: WantedSizes): void {
  const inputs = model.graph.inputs.filter(({ tensor }) => !tensor)
  const names = new Set<string>()
  for (const name of shapes.keys())
    if (!inputs.some((input) => input.name === name)) throw unknown(`input "${name}"`, inputs)
  for (const input of inputs) {
    const wanted = shapes.get(input.name)
    const own = input.shape
    if (!input.type || (!own && !wanted)) continue
    for (const dim of own ?? []) if (typeof dim === 'string') names.add(dim)
    if (wanted && own && (wanted.length !== own.length || own.some((dim, i) => isOther(dim, wanted[i]!))))
      throw new OnnxError('INPUTS_INVALID', `"${input.name}" can't have the shape [${wanted}]`, {
        hint: `The model takes [${own.map((dim) => dim ?? '?')}].`,
      })
    const dims = (wanted ?? own!).map((dim, axis): Dim => {
      if (typeof dim === 'number') return dim
      return (dim === null ? undefined : dimensions.get(dim)) ?? (axis === 0 ? (batch ?? dim) : dim)
    })
    input.type = tensorType(input.dtype, dims)
  }
  for (const name of dimensions.keys())
    if (!names.has(name))
      throw new OnnxError('INPUTS_INVALID', `no input has a dimension "${name}"`, {
        hint: names.size ? `There is ${[...names].join(', ')}.` : 'All sizes are fixed.',
      })
}

function isOther(dim: Dim, size: number): boolean {
  return typeof dim === 'number' && dim !== size
}

function unknown(what: string, inputs: readonly { name: string }[]): OnnxError {
  return new OnnxError('INPUTS_INVALID', `the model has no ${what}`, {
    hint: `It takes ${inputs.map(({ name }) => name).join(', ') || 'nothing'}.`,
  })
}
