import type { Graph } from './graph.ts'
import type { Model } from './model.ts'
import type { Value } from './value.ts'

/** Operators whose bodies take and give values by position; others may go by name. */
export const CONTROL_FLOW: ReadonlySet<string> = new Set(['If', 'Loop', 'Scan'])

/**
 * Renames values of If, Loop and Scan bodies that have the name of a value further out. Such names are allowed as long as the
 * outer value comes later, but ONNX Runtime orders nodes by itself and then finds the name taken. Inputs and outputs of these
 * bodies go by position, so their names are free to change; bodies of other operators are left alone.
 */
export function unshadow(model: Model): void {
  for (const node of model.graph.nodes())
    for (const body of node.subgraphs) if (CONTROL_FLOW.has(node.opType)) visit(body, new Set(namesIn(model.graph)))
}

function visit(graph: Graph, outer: ReadonlySet<string>): void {
  for (const value of valuesIn(graph)) if (outer.has(value.name)) value.name = graph.model.names.fresh(value.name)
  const names = new Set([...outer, ...namesIn(graph)])
  for (const node of graph.nodes())
    for (const body of node.subgraphs) if (CONTROL_FLOW.has(node.opType)) visit(body, names)
}

function* valuesIn(graph: Graph): Generator<Value> {
  yield* graph.inputs
  for (const value of graph.initializers) if (!value.isInput) yield value
  for (const node of graph.nodes()) for (const value of node.outputs) if (value) yield value
}

function* namesIn(graph: Graph): Generator<string> {
  for (const { name } of valuesIn(graph)) yield name
}
