import type { Graph } from '../../graph/graph.ts'
import type { Model } from '../../graph/model.ts'
import type { Value } from '../../graph/value.ts'
import { isStandard } from './determinism.ts'

/**
 * Renames where a subgraph reads a value from further out whose name means something else inside: bodies may use names again
 * that the graphs around them use, so an edit that lets a body read another value can bring two of one name together. Returns
 * how many values were renamed.
 */
export function separateNames(model: Model): number {
  let changes = 0
  const walk = (graph: Graph, scopes: readonly ReadonlyMap<string, Value>[]): void => {
    const names = new Map<string, Value>()
    for (const value of valuesOf(graph)) names.set(value.name, value)
    const inner = [...scopes, names]
    for (const node of graph.nodes()) {
      for (const value of node.inputs) {
        if (!value || value.graph === graph) continue
        for (let i = inner.length - 1; i >= 0; i--) {
          const found: Value | undefined = inner[i]!.get(value.name)
          if (found === value) break
          if (!found || found.name !== value.name) continue
          const renamed: Value = isFixed(found) && !isFixed(value) ? value : found
          renamed.name = model.names.fresh(renamed.name)
          changes++
          if (renamed === value) break
        }
      }
      for (const body of node.subgraphs) walk(body, inner)
    }
  }
  for (const root of [model.graph, ...model.functions.map(({ graph }) => graph)])
    if ([...root.nodes()].some((node) => node.subgraphs.length)) walk(root, [])
  return changes
}

/** Names that somebody outside goes by: of the main graph's ends, and of the bodies of operators like BeamSearch. */
function isFixed(value: Value): boolean {
  const { owner } = value.graph
  return (value.isInput || value.isOutput) && (!owner || !isStandard(owner))
}

function* valuesOf(graph: Graph): Generator<Value> {
  yield* graph.inputs
  for (const value of graph.initializers) if (!value.isInput) yield value
  for (const node of graph.nodes()) for (const value of node.outputs) if (value) yield value
}
