import type { Graph } from '../../graph/graph.ts'
import type { Tensor } from '../../graph/tensor.ts'
import type { Value } from '../../graph/value.ts'
import { isStandard } from './determinism.ts'
import { isSameTensor, sampleOf } from './fingerprint.ts'

/** Tensors to compare, by type, shape and size first: the data of most is never read. */
type Known = Map<string, Value[]>

/**
 * Makes one of constants (initializers and Constant nodes) that are equal byte by byte in type, shape and data. Those of subgraphs
 * give way to one further out. Constants that callers may replace are left alone, and outputs of a graph keep their own. Returns
 * how many went.
 */
export function mergeConstants(graph: Graph, outer: Known = new Map()): number {
  let changes = 0
  const known: Known = new Map([...outer].map(([key, values]) => [key, [...values]]))
  for (const value of [...constantsOf(graph)]) {
    const data = value.constant!
    const key = `${data.code}:${data.dims.join('x')}`
    const alike = known.get(key)
    if (!alike) {
      known.set(key, [value])
      continue
    }
    const same = alike.find((other) => isSame(other.constant!, data))
    if (!same) alike.push(value)
    else if (!value.isOutput) {
      value.replaceUses(same)
      if (value.producer) graph.remove(value.producer)
      else {
        if (value.isInput) graph.removeInput(value)
        graph.removeInitializer(value)
      }
      changes++
    }
  }
  for (const node of graph.nodes()) for (const body of node.subgraphs) changes += mergeConstants(body, known)
  return changes
}

function* constantsOf(graph: Graph): Generator<Value> {
  const isReferred = !!graph.model.extra.trainingInfo?.length || !!graph.extra?.quantizationAnnotation?.length
  if (!isReferred)
    for (const value of graph.initializers)
      if (value.constant && (!value.isInput || graph === graph.model.graph)) yield value
  for (const node of graph.nodes()) {
    const value = isStandard(node) && node.opType === 'Constant' ? node.outputs[0] : undefined
    if (value?.constant) yield value
  }
}

const samples = new WeakMap<Tensor, string>()

function sample(tensor: Tensor): string {
  const text = samples.get(tensor) ?? sampleOf(tensor)
  samples.set(tensor, text)
  return text
}

function isSame(a: Tensor, b: Tensor): boolean {
  return a === b || (sample(a) === sample(b) && isSameTensor(a, b))
}
