import type { Graph } from '../../graph/graph.ts'
import type { Tensor } from '../../graph/tensor.ts'
import type { Value } from '../../graph/value.ts'
import { isStandard } from './determinism.ts'
import { isSameTensor, sampleOf } from './fingerprint.ts'

/**
 * Constants by type and shape, then by a sample of their data: what stands alone with its type and shape is never read, and what
 * shares them is compared with what has the same sample only.
 */
class Known {
  readonly #outer: Known | undefined
  readonly #first = new Map<string, Value>()
  readonly #alike = new Map<string, Value[]>()

  /** `outer` holds the constants of the graph around. */
  constructor(outer: Known | undefined) {
    this.#outer = outer
  }

  find(value: Value): Value | undefined {
    const outer = this.#outer?.find(value)
    if (outer) return outer
    const data = value.constant!
    const first = this.#first.get(kindOf(data))
    if (!first || first.constant === data) return first
    if (!this.#alike.has(sample(first.constant!))) this.#alike.set(sample(first.constant!), [first])
    return this.#alike.get(sample(data))?.find(({ constant }) => constant === data || isSameTensor(constant!, data))
  }

  /** Adds a constant that was not found. */
  add(value: Value): void {
    const data = value.constant!
    if (!this.#first.has(kindOf(data))) this.#first.set(kindOf(data), value)
    else if (this.#alike.has(sample(data))) this.#alike.get(sample(data))!.push(value)
    else this.#alike.set(sample(data), [value])
  }
}

const kindOf = ({ code, dims }: Tensor): string => `${code}:${dims.join('x')}`

/**
 * Makes one of constants (initializers and Constant nodes) that are equal byte by byte in type, shape and data. Those of subgraphs
 * give way to one further out. Constants that callers may replace are left alone, and outputs of a graph keep their own. Returns
 * how many went.
 */
export function mergeConstants(graph: Graph, outer?: Known): number {
  let changes = 0
  const known = new Known(outer)
  for (const value of [...constantsOf(graph)]) {
    const same = known.find(value)
    if (!same) known.add(value)
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
