import type { AttributeProto } from '../onnx/proto.ts'
import type { AttributeValue } from './attributes.ts'
import { Graph } from './graph.ts'
import type { LocalFunction, Model } from './model.ts'
import type { Node } from './node.ts'
import type { Value } from './value.ts'

/** Functions may call functions, but not themselves: what goes deeper than this is damaged. */
const DEEPEST = 32

/**
 * Replaces calls of the model's own functions by their bodies, so that passes see every operator with its types. Functions
 * that nothing calls any more are dropped. A function that needs other versions of operator sets than the model, or has a
 * default of a rare kind, stays.
 *
 * @returns how many calls were replaced
 */
export function inlineFunctions(model: Model): number {
  if (!model.functions.length) return 0
  const byName = new Map(model.functions.map((fn) => [keyOf(fn.domain, fn.name, fn.overload), fn]))
  let inlined = 0
  const expand = (nodes: Iterable<Node>, depth: number): void => {
    for (const node of nodes) {
      for (const body of node.subgraphs) expand(body.nodes(), depth)
      const fn = byName.get(keyOf(node.domain, node.opType, node.extra?.overload ?? ''))
      if (!fn || depth > DEEPEST || !canInline(fn, model)) continue
      inlined++
      expand(inline(node, fn), depth + 1)
    }
  }
  expand(model.graph.nodes(), 0)
  const called = new Set<string>()
  for (const { domain, opType, extra } of model.allNodes()) called.add(keyOf(domain, opType, extra?.overload ?? ''))
  if (inlined) {
    const left = model.functions.filter((fn) => called.has(keyOf(fn.domain, fn.name, fn.overload)))
    model.functions.splice(0, model.functions.length, ...left)
  }
  return inlined
}

function keyOf(domain: string, name: string, overload: string): string {
  return `${domain}:${name}:${overload}`
}

/** True if the body means the same in the model, and all defaults are of plain kinds. */
function canInline({ opsets, defaults, graph }: LocalFunction, model: Model): boolean {
  if (defaults.some((proto) => plainValue(proto) === undefined)) return false
  const domains = new Set([...graph.allNodes()].map(({ domain }) => domain))
  return [...domains].every(
    (domain) => !model.opsets.has(domain) || !opsets.has(domain) || opsets.get(domain) === model.opsets.get(domain),
  )
}

function plainValue(proto: AttributeProto): AttributeValue | undefined {
  if (Object.hasOwn(proto, 'f')) return { kind: 'float', value: proto.f! }
  if (Object.hasOwn(proto, 'i')) return { kind: 'int', value: proto.i! }
  if (Object.hasOwn(proto, 's')) return { kind: 'string', value: proto.s! }
  if (proto.floats?.length) return { kind: 'floats', value: proto.floats }
  if (proto.ints?.length) return { kind: 'ints', value: proto.ints }
  return undefined
}

/** Puts a copy of the body in the call's place; returns the copies. */
function inline(call: Node, fn: LocalFunction): Node[] {
  const { graph } = call
  const { model } = graph
  for (const [domain, version] of fn.opsets) model.useDomain(domain, version)
  const attributes = new Map<string, AttributeValue>()
  for (const proto of fn.defaults) attributes.set(proto.name ?? '', plainValue(proto)!)
  for (const [name, value] of call.attributes) attributes.set(name, value)
  const values = new Map<Value, Value | null>()
  fn.graph.inputs.forEach((value, i) => void values.set(value, call.input(i) ?? null))
  const copies = copyNodes(fn.graph, graph, call, `${call.name || call.opType}/`, values, attributes)
  fn.graph.outputs.forEach((inner, i) => {
    const old = call.outputs[i]
    const fresh = values.get(inner)
    if (old && fresh) graph.replace(old, fresh)
  })
  graph.remove(call)
  return copies
}

function copyNodes(
  from: Graph,
  to: Graph,
  before: Node | undefined,
  prefix: string,
  values: Map<Value, Value | null>,
  attributes: ReadonlyMap<string, AttributeValue>,
): Node[] {
  const copies: Node[] = []
  from.sort()
  for (const node of from.nodes()) {
    const copy = to.insert(
      {
        op: node.opType,
        domain: node.domain,
        name: prefix + (node.name || node.opType),
        inputs: node.inputs.map((value) => (value ? (values.has(value) ? values.get(value)! : value) : null)),
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
      const own = value.kind === 'reference' ? attributes.get(value.value) : value
      // A reference to an attribute that the call leaves out leaves it out too.
      if (own) copy.attributes.set(name, copyAttribute(own, copy, prefix, values, attributes))
    }
    copies.push(copy)
  }
  return copies
}

function copyAttribute(
  value: AttributeValue,
  owner: Node,
  prefix: string,
  values: Map<Value, Value | null>,
  attributes: ReadonlyMap<string, AttributeValue>,
): AttributeValue {
  const copyGraph = (body: Graph): Graph => {
    const { model } = owner.graph
    const copy = new Graph(model, body.name, owner)
    for (const input of body.inputs)
      values.set(input, copy.addInput(model.names.fresh(prefix + input.name), input.type))
    for (const initializer of body.initializers)
      if (initializer.tensor && !values.has(initializer))
        values.set(initializer, copy.addInitializer(prefix + initializer.name, initializer.tensor))
    copyNodes(body, copy, undefined, prefix, values, attributes)
    for (const output of body.outputs) copy.addOutput(values.get(output) ?? output)
    return copy
  }
  if (value.kind === 'graph') return { kind: 'graph', value: copyGraph(value.value) }
  if (value.kind === 'graphs') return { kind: 'graphs', value: value.value.map(copyGraph) }
  return value
}
