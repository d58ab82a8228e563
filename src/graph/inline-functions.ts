import type { AttributeProto } from '../onnx/proto.ts'
import type { AttributeValue } from './attributes.ts'
import { copyNodes } from './copy.ts'
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
  const prefix = `${call.name || call.opType}/`
  const copies = copyNodes(fn.graph, graph, { before: call, prefix, values, attributes })
  fn.graph.outputs.forEach((inner, i) => {
    const old = call.outputs[i]
    const fresh = values.get(inner)
    if (old && fresh) graph.replace(old, fresh)
  })
  graph.remove(call)
  return copies
}
