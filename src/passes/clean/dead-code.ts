import type { Graph } from '../../graph/graph.ts'
import type { Model } from '../../graph/model.ts'
import { isPure } from './determinism.ts'

/** Removes nodes, initializers and local functions that nothing needs. Inputs of the model stay, used or not. Returns how many. */
export function removeDeadCode(model: Model): number {
  let changes = 0
  for (const root of [model.graph, ...model.functions.map(({ graph }) => graph)]) changes += removeDeadNodes(root)
  // Training information and quantization annotations name initializers in a form that is only carried along.
  const isReferred = !!model.extra.trainingInfo?.length
  for (const graph of model.allGraphs())
    if (!isReferred && !graph.extra?.quantizationAnnotation?.length) changes += removeDeadInitializers(graph)
  return changes + removeDeadFunctions(model)
}

/** Back to front, so that one walk finds chains; bodies before what they capture. */
function removeDeadNodes(graph: Graph): number {
  let changes = 0
  graph.sort()
  for (let node = graph.lastNode; node; ) {
    const previous = node.previous
    // A node without outputs is there for some other effect.
    if (node.outputs.some(Boolean) && node.outputs.every((value) => !value || value.isUnused) && isPure(node)) {
      graph.remove(node)
      changes++
    } else for (const body of node.subgraphs) changes += removeDeadNodes(body)
    node = previous
  }
  return changes
}

function removeDeadInitializers(graph: Graph): number {
  let changes = 0
  for (const value of graph.initializers) {
    if (!value.isUnused) continue
    if (value.isInput) {
      // Before IR version 4 initializers had to be listed as inputs; later ones are defaults that callers may replace.
      if (graph.model.initializersAreOverridable || graph !== graph.model.graph) continue
      graph.removeInput(value)
    }
    graph.removeInitializer(value)
    changes++
  }
  return changes
}

function removeDeadFunctions(model: Model): number {
  const live = new Set<(typeof model.functions)[number]>()
  const visit = (graph: Graph): void => {
    for (const node of graph.allNodes())
      for (const fn of model.functions)
        if (fn.name === node.opType && fn.domain === node.domain && !live.has(fn)) {
          live.add(fn)
          visit(fn.graph)
        }
  }
  if (!model.functions.length) return 0
  visit(model.graph)
  const dead = model.functions.filter((fn) => !live.has(fn))
  for (const fn of dead) model.functions.splice(model.functions.indexOf(fn), 1)
  return dead.length
}
