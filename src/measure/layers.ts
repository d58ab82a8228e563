import type { Model } from '../graph/model.ts'
import type { Value } from '../graph/value.ts'

/**
 * Float values that two versions of a model share by name, in the order in which the first computes them. Outputs of the
 * models, constants, and values inside of subgraphs are not among them.
 */
export function sharedValues(reference: Model, candidate: Model): string[] {
  const there = new Set(floats(candidate).map(({ name }) => name))
  reference.graph.sort()
  return floats(reference)
    .map(({ name }) => name)
    .filter((name) => there.has(name))
}

function floats({ graph }: Model): Value[] {
  return [...graph.nodes()]
    .filter((node) => !node.is('Constant'))
    .flatMap((node) => node.outputs)
    .filter((value) => value !== null)
    .filter((value) => value.isFloat && !value.isOutput)
}

/** Makes values, by name, outputs of their model too. */
export function exposeValues({ graph }: Model, names: readonly string[]): void {
  const wanted = new Set(names)
  for (const node of graph.nodes())
    for (const value of node.outputs) if (value && !value.isOutput && wanted.has(value.name)) graph.addOutput(value)
}
