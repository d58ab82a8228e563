import type { AttributeProto } from '../onnx/proto.ts'
import type { AttributeValue } from './attributes.ts'
import { copyNodes } from './copy.ts'
import type { Graph } from './graph.ts'
import type { LocalFunction, Model } from './model.ts'
import type { Node } from './node.ts'
import type { Tensor } from './tensor.ts'
import type { Value } from './value.ts'

/** Functions may call functions, but not themselves: what goes deeper than this is damaged. */
const DEEPEST = 32

/** A constant of this many bytes is kept once, however often its function is called. */
const LARGE = 1024

export interface InlineOptions {
  /** Which functions to replace, together with those that call them; default all. */
  wants?: (fn: LocalFunction) => boolean
  /** Told of every node of a body that took a call's place. */
  copied?: (copy: Node, original: Node, call: Node) => void
}

/**
 * Replaces calls of the model's own functions by their bodies, so that passes see every operator with its types. Functions
 * that nothing calls any more are dropped. A function that cannot be replaced stays: see `reasonToStay`.
 *
 * Results of calls keep their names; what is inside is called by the call and its own name, `call/name`.
 *
 * @returns how many calls were replaced
 */
export function inlineFunctions(model: Model, options: InlineOptions = {}): number {
  if (!model.functions.length) return 0
  const wanted = options.wants ? withCallers(model, options.wants) : new Set(model.functions)
  const functionOf = finder(model)
  const constants = new Map<Tensor, Value>()
  let inlined = 0
  const expand = (nodes: Iterable<Node>, depth: number): void => {
    for (const node of nodes) {
      for (const body of node.subgraphs) expand(body.nodes(), depth)
      const fn = functionOf(node)
      if (!fn || depth > DEEPEST || !wanted.has(fn) || reasonToStay(fn, model)) continue
      inlined++
      expand(inline(node, fn, constants, options), depth + 1)
    }
  }
  expand(model.graph.nodes(), 0)
  if (inlined) {
    const called = new Set<LocalFunction>()
    const follow = (graph: Graph): void => {
      for (const node of graph.allNodes()) {
        const fn = functionOf(node)
        if (!fn || called.has(fn)) continue
        called.add(fn)
        follow(fn.graph)
      }
    }
    follow(model.graph)
    model.functions.splice(0, model.functions.length, ...model.functions.filter((fn) => called.has(fn)))
  }
  return inlined
}

/** The functions that are wanted, and those that lead to them. */
function withCallers(model: Model, wants: (fn: LocalFunction) => boolean): Set<LocalFunction> {
  const found = new Set(model.functions.filter(wants))
  const functionOf = finder(model)
  for (let before = -1; before !== found.size; ) {
    before = found.size
    for (const fn of model.functions)
      for (const node of fn.graph.allNodes()) {
        const callee = functionOf(node)
        if (callee && found.has(callee)) found.add(fn)
      }
  }
  return found
}

/** The function that a node calls. */
function finder(model: Model): (node: Node) => LocalFunction | undefined {
  const byName = new Map(model.functions.map((fn) => [keyOf(fn.domain, fn.name, fn.overload), fn]))
  return ({ domain, opType, extra }) => byName.get(keyOf(domain, opType, extra?.overload ?? ''))
}

function keyOf(domain: string, name: string, overload: string): string {
  return `${domain}:${name}:${overload}`
}

/** Why the body cannot stand in the model: it means something else there, or has a default of a rare kind. */
export function reasonToStay({ opsets, defaults, graph }: LocalFunction, model: Model): string | undefined {
  const rare = defaults.find((proto) => plainValue(proto) === undefined)
  if (rare) return `its attribute "${rare.name ?? ''}" has a default that is no number, string or list of numbers`
  for (const { domain } of graph.allNodes()) {
    const [own, theirs] = [opsets.get(domain), model.opsets.get(domain)]
    if (own !== undefined && theirs !== undefined && own !== theirs)
      return `it is written for version ${own} of ${domain || 'the standard operators'}, the model for ${theirs}`
  }
  return undefined
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
function inline(call: Node, fn: LocalFunction, constants: Map<Tensor, Value>, { copied }: InlineOptions): Node[] {
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
  const own = new Set(copies.flatMap(({ outputs }) => outputs))
  fn.graph.outputs.forEach((inner, i) => {
    const old = call.outputs[i]
    const fresh = values.get(inner)
    if (!old || !fresh) return
    // Outputs of the graph keep their names in any case.
    if (!old.isOutput && !fresh.isOutput && own.delete(fresh)) {
      const { name } = fresh
      fresh.name = old.name
      old.name = name
      fresh.type ??= old.type
    }
    graph.replace(old, fresh)
  })
  graph.remove(call)
  const inside = copies.flatMap((copy) => [copy, ...copy.subgraphs.flatMap((body) => [...body.allNodes()])])
  let at = 0
  for (const original of fn.graph.allNodes()) copied?.(inside[at++]!, original, call)
  for (const copy of inside) share(copy, constants)
  return copies.filter(({ isLinked }) => isLinked)
}

/** Turns a large Constant into an initializer, which all calls share. */
function share(node: Node, constants: Map<Tensor, Value>): void {
  const tensor = node.is('Constant') ? node.constantTensor() : undefined
  if (!tensor || (tensor.byteLength ?? 0) < LARGE) return
  const value = node.output()
  const known = constants.get(tensor)
  const shared = known ?? node.graph.model.graph.addInitializer(value.name, tensor)
  // An output of the graph keeps its name in any case.
  if (!known && !value.isOutput) [shared.name, value.name] = [value.name, shared.name]
  shared.type ??= value.type
  constants.set(tensor, shared)
  node.graph.replace(value, shared)
  node.graph.remove(node)
}
