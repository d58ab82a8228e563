import type { Model } from '../../graph/model.ts'

/**
 * Does something that finds out types, and leaves those of the model's outputs as they are declared afterwards: what the file says of them,
 * little as it may be, is what callers know.
 */
export async function keepOutputTypes<T>({ graph }: Model, work: () => Promise<T>): Promise<T> {
  const declared = graph.outputs.map(({ type }) => type)
  const result = await work()
  graph.outputs.forEach((value, i) => {
    if (value.type !== declared[i]) value.type = declared[i]
  })
  return result
}
