import type { Model } from '../../graph/model.ts'
import type { Tensor } from '../../graph/tensor.ts'
import type { Value } from '../../graph/value.ts'
import { exposeRounds } from '../bodies.ts'
import type { Feeds, IsolatedSession } from '../isolated.ts'

/** A model that is run, and the outputs that its values are found under. */
export interface Watched {
  session: IsolatedSession
  names: ReadonlyMap<Value, string>
}

/** Makes values outputs of their model. Those of bodies come as the elements of all rounds. */
export function expose({ graph }: Model, values: readonly Value[]): Map<Value, string> {
  const names = new Map<Value, string>()
  for (const value of new Set(values)) {
    if (value.graph.owner) {
      const output = exposeRounds(value)
      if (output) names.set(value, output.name)
      continue
    }
    names.set(value, value.name)
    if (!value.isInput && !value.isOutput) graph.addOutput(value)
  }
  return names
}

/** Runs the model; gives the values that can be looked at. */
export async function fetch(
  { session, names }: Watched,
  values: readonly Value[],
  feeds: Feeds,
): Promise<ReadonlyMap<Value, Tensor>> {
  const isInput = (value: Value): boolean => value.isInput && !value.graph.owner
  const wanted = new Set(values.flatMap((value) => (isInput(value) ? [] : (names.get(value) ?? []))))
  const results = wanted.size ? await session.run(feeds, [...wanted]) : {}
  const tensors = new Map<Value, Tensor>()
  for (const value of values) {
    const tensor = (isInput(value) ? feeds : results)[names.get(value) ?? '']
    if (tensor) tensors.set(value, tensor)
  }
  return tensors
}
