import type { AttributeValue } from './attributes.ts'
import { Graph } from './graph.ts'
import { Model } from './model.ts'
import type { Node } from './node.ts'
import { CONTROL_FLOW } from './unshadow.ts'
import { Value } from './value.ts'

export interface CopyOptions {
  /** Where the copies go; default the end. */
  before?: Node | undefined
  /** Put before the names of copied nodes and values. */
  prefix: string
  /**
   * What stands for a value of the original; others stand for themselves. The copies' own values are added.
   */
  values: Map<Value, Value | null>
  /** What references to a function's attributes stand for. */
  attributes?: ReadonlyMap<string, AttributeValue>
}

/** Copies all nodes of a graph, with their subgraphs, into another graph (or the same). Returns the copies in order. */
export function copyNodes(from: Graph, to: Graph, options: CopyOptions): Node[] {
  const { before, prefix, values, attributes } = options
  from.sort()
  return [...from.nodes()].map((node) => {
    const copy = to.insert(
      {
        op: node.opType,
        domain: node.domain,
        name: prefix + (node.name || node.opType),
        inputs: node.inputs.map((value) => (value && values.has(value) ? values.get(value)! : value)),
        outputs: node.outputs.map((value) => (value ? prefix + value.name : null)),
      },
      { before },
    )
    if (node.extra?.overload) copy.extra = { overload: node.extra.overload }
    node.outputs.forEach((value, i) => {
      if (!value) return
      copy.output(i).type = value.type
      values.set(value, copy.output(i))
    })
    for (const [name, value] of node.attributes) {
      const own = value.kind === 'reference' ? attributes?.get(value.value) : value
      // A reference to an attribute that the call leaves out leaves it out too.
      if (own) copy.attributes.set(name, copyAttribute(own, copy, options))
    }
    return copy
  })
}

function copyAttribute(value: AttributeValue, owner: Node, options: CopyOptions): AttributeValue {
  const { prefix, values } = options
  const copyGraph = (body: Graph): Graph => {
    const { model } = owner.graph
    const copy = new Graph(model, body.name, owner)
    for (const input of body.inputs)
      values.set(input, copy.addInput(model.names.fresh(prefix + input.name), input.type))
    for (const initializer of body.initializers)
      if (initializer.tensor && !values.has(initializer))
        values.set(initializer, copy.addInitializer(prefix + initializer.name, initializer.tensor))
    copyNodes(body, copy, { ...options, before: undefined })
    for (const output of body.outputs) copy.addOutput(values.get(output) ?? output)
    if (!CONTROL_FLOW.has(owner.opType)) keepEnds(body, values)
    return copy
  }
  if (value.kind === 'graph') return { kind: 'graph', value: copyGraph(value.value) }
  if (value.kind === 'graphs') return { kind: 'graphs', value: value.value.map(copyGraph) }
  return value
}

/** Operators like BeamSearch know what their bodies take and give by name. */
function keepEnds(body: Graph, values: ReadonlyMap<Value, Value | null>): void {
  for (const end of [...body.inputs, ...body.outputs]) {
    const copy = end.graph === body && values.get(end)
    if (copy) copy.name = end.name
  }
}

/** A copy of a model, and what became of its nodes and values. Weights are shared. */
export interface ModelCopy {
  model: Model
  /** Nodes of all graphs but functions. */
  nodes: ReadonlyMap<Node, Node>
  /** Values of the main graph. */
  values: ReadonlyMap<Value, Value | null>
}

/** Copies a model, names included. Functions are shared with the original: do not change them. */
export function copyModel(original: Model): ModelCopy {
  const model = new Model({ irVersion: original.irVersion, name: original.graph.name, file: original.file })
  for (const [domain, version] of original.opsets) model.opsets.set(domain, version)
  model.functions.push(...original.functions)
  const values = new Map<Value, Value | null>()
  const { graph } = model
  for (const value of [...original.graph.inputs, ...original.graph.initializers]) {
    if (values.has(value)) continue
    const copy = new Value(graph, value.name, value.type)
    model.names.reserve(value.name)
    if (value.isInput) graph.registerInput(copy)
    if (value.tensor) graph.setInitializer(copy, value.tensor)
    if (value.sparse) graph.setSparse(copy, value.sparse)
    values.set(value, copy)
  }
  copyNodes(original.graph, graph, { prefix: '', values })
  for (const value of original.graph.outputs) graph.addOutput(values.get(value)!)
  // Names that several bodies use are as right in the copy as in the original.
  for (const [value, copy] of values) {
    if (!copy) continue
    model.names.reserve(value.name)
    copy.name = value.name
  }
  const copies = [...graph.allNodes()]
  return { model, nodes: new Map([...original.graph.allNodes()].map((node, i) => [node, copies[i]!])), values }
}
