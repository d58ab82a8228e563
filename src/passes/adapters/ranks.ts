import type { Model } from '../../graph/model.ts'
import type { Tensor } from '../../graph/tensor.ts'
import { tensorType } from '../../graph/types.ts'
import type { Layer } from './files.ts'
import { fillUp } from './pack.ts'

/**
 * Gives the weights of each layer the highest rank that an adapter has there: zeros fill up the others, and change nothing.
 *
 * @param adapters the one that is in the model first
 */
export function alignRanks(
  model: Model,
  layers: readonly Layer[],
  adapters: readonly { tensors: Map<string, Tensor> }[],
): void {
  const inputs = new Map(model.graph.inputs.map((value) => [value.name, value]))
  for (const { factors } of layers) {
    const ranks = factors.flatMap(({ name, rankAxis }) =>
      rankAxis === undefined ? [] : adapters.map(({ tensors }) => tensors.get(name)!.dims[rankAxis]!),
    )
    const rank = Math.max(...ranks)
    for (const { name, rankAxis } of factors) {
      for (const { tensors } of adapters) tensors.set(name, fillUp(tensors.get(name)!, rankAxis, rank))
      const value = inputs.get(name)!
      const tensor = adapters[0]!.tensors.get(name)!
      value.type = tensorType(value.dtype, tensor.dims)
      model.graph.setInitializer(value, tensor)
    }
  }
}
