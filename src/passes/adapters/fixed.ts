import { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import type { Tensor } from '../../graph/tensor.ts'
import type { Value } from '../../graph/value.ts'
import type { OrtService } from '../../ort/service.ts'
import { dropUnused } from './linear.ts'

/** Chains that are longer are no longer what an adapter computes of its weights. */
const LIMIT = 64
const DOMAINS = new Set(['', 'com.microsoft'])
const RANDOM = /^(?:Random|Bernoulli|Multinomial|Dropout)/

/** The nodes that compute a value of constants alone, in order; undefined if it depends on anything else. */
export function fixedNodes(value: Value): Node[] | undefined {
  const nodes = new Set<Node>()
  const visit = (one: Value): boolean => {
    if (one.constant) return true
    const { producer } = one
    if (!producer || !DOMAINS.has(producer.domain) || RANDOM.test(producer.opType) || producer.subgraphs.length)
      return false
    if (nodes.has(producer)) return true
    if (nodes.size >= LIMIT || !producer.inputs.every((input) => !input || visit(input))) return false
    nodes.add(producer)
    return true
  }
  return visit(value) ? [...nodes] : undefined
}

/** Computes a value of which `fixedNodes` says that it is fixed. */
export async function evaluateFixed(value: Value, ort: OrtService): Promise<Tensor> {
  if (value.constant) return value.constant
  const source = value.graph.model
  const model = new Model({ opset: source.opsets.get('') ?? 17, irVersion: source.irVersion })
  model.opsets.set('com.microsoft', 1)
  const copies = new Map<Value, Value>()
  const copyOf = (one: Value): Value => {
    const known = copies.get(one)
    if (known) return known
    const copy = model.graph.addInitializer(one.name, one.constant!)
    copies.set(one, copy)
    return copy
  }
  for (const node of fixedNodes(value) ?? []) {
    const copy = model.graph.insert({
      op: node.opType,
      domain: node.domain,
      inputs: node.inputs.map((input) => input && copyOf(input)),
      attributes: Object.fromEntries(node.attributes),
      outputs: node.outputs.length,
      types: node.outputs.map((output) => output?.type),
    })
    node.outputs.forEach((output, at) => {
      if (output) copies.set(output, copy.outputs[at]!)
    })
  }
  model.graph.addOutput(copies.get(value)!)
  return Object.values(await ort.evaluate(model))[0]!
}

/** Removes what nothing reads any more: the value's node, and what only that read. */
export function dropDead(value: Value): void {
  const { producer } = value
  // Taken out already, as the same value was reached on another way.
  if (producer && ![...producer.graph.nodes()].includes(producer)) return
  if (!producer || producer.opType === 'Constant') {
    dropUnused(value)
    return
  }
  if (producer.outputs.some((output) => output && !output.isUnused)) return
  const inputs = [...producer.inputs]
  producer.graph.remove(producer)
  for (const input of new Set(inputs)) if (input && !input.isInput) dropDead(input)
}
