import picomatch from 'picomatch'
import type { Graph } from '../../graph/graph.ts'
import type { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import type { Value } from '../../graph/value.ts'
import type { HalfConstants } from './constants.ts'
import type { Float16Options } from './index.ts'
import { indexArithmetic } from './index-arithmetic.ts'
import { GLOB, namesOf } from './names.ts'
import type { Acceptance, Prober } from './probe.ts'
import { sequenceNodes } from './sequences.ts'

const CONTROL_FLOW = new Set(['If', 'Loop', 'Scan'])

/** Which nodes compute in float16, and so which type every value comes in. */
export interface Plan {
  /** Nodes to convert, with the inputs and outputs that become float16. All others stay as they are. */
  readonly nodes: ReadonlyMap<Node, Acceptance>
  /** Nodes that stay float32 because a constant of theirs does not fit a half. */
  readonly large: ReadonlySet<Node>
  /** True if `value` is computed, or given by the caller, in float16. */
  isHalf(value: Value): boolean
  /** True if input `index` of `node` is to be float16. */
  wantsHalf(node: Node, index: number): boolean
}

/** Decides, without changing anything, what becomes float16; `float32` are nodes that do not. */
export async function makePlan(
  model: Model,
  options: Float16Options,
  prober: Prober,
  constants: HalfConstants,
  keep: KeepIo,
  float32: ReadonlySet<Node>,
): Promise<Plan> {
  const nodes = new Map<Node, Acceptance>()
  const isNamed = blocker(options)
  const blocked = (node: Node): boolean => float32.has(node) || isNamed(node)
  const candidates = [...model.graph.allNodes()].filter(
    (node) => !blocked(node) && touchesFloat(node) && !isInForeignBody(node) && !makesResult(node, model, keep),
  )
  await prober.prepare(candidates.filter((node) => !node.subgraphs.length))
  for (const node of candidates) {
    const acceptance = isControlFlow(node)
      ? controlFlow(node)
      : node.subgraphs.length
        ? undefined
        : prober.accepts(node)
    if (acceptance && (acceptance.inputs.includes(true) || acceptance.outputs.includes(true)))
      nodes.set(node, acceptance)
  }
  const wantsHalf = (node: Node, index: number): boolean => nodes.get(node)?.inputs[index] ?? false
  const demandsFloat = (node: Node, index: number): boolean =>
    node.input(index)?.dtype === 'float32' && !wantsHalf(node, index)
  for (const node of indexArithmetic(model, demandsFloat)) nodes.delete(node)
  const large = new Set<Node>()
  // A constant that must stay float32 keeps its readers there, whose other constants then need no float16 form.
  for (const node of [...nodes.keys()])
    for (const [i, value] of node.inputs.entries())
      if (value?.dtype === 'float32' && wantsHalf(node, i) && isConstant(value) && !constants.of(value)) {
        nodes.delete(node)
        large.add(node)
      }
  const hasLargeConstant = (node: Node): boolean =>
    node.inputs.some((value) => value?.dtype === 'float32' && isConstant(value) && !constants.of(value))
  const sequences = sequenceNodes(model, (node) => blocked(node) || hasLargeConstant(node))
  for (const [node, acceptance] of sequences) nodes.set(node, acceptance)
  const isHalf = (value: Value): boolean => {
    if (value.dtype !== 'float32' || isConstant(value)) return false
    const { producer } = value
    if (producer) return nodes.get(producer)?.outputs[value.outputIndex] ?? false
    if (value.graph !== model.graph) return isBodyInputOfHalf(value, nodes)
    return !keep(value.name) && !value.sparse && (!value.tensor || constants.of(value) !== undefined)
  }
  // What gives no floats (Shape, a Cast to integers, comparisons) gains nothing from a Cast to float16 in front of it.
  for (const node of [...nodes.keys()]) {
    const floats = node.inputs.filter((value) => value?.dtype === 'float32' && !isConstant(value))
    const givesFloat =
      node.subgraphs.length > 0 || sequences.has(node) || node.outputs.some((value) => value?.dtype === 'float32')
    if (!givesFloat && floats.length && !floats.some((value) => isHalf(value!))) nodes.delete(node)
  }
  return { nodes, large, wantsHalf, isHalf }
}

/** Decides about inputs and outputs of the model: true if one stays float32. */
export type KeepIo = (name: string) => boolean

/** True for what callers can't feed: its type is chosen by reader, not by producer. */
export function isConstant(value: Value): boolean {
  return value.constant !== undefined
}

function blocker({ float32Ops = [], float32Nodes = [] }: Float16Options): (node: Node) => boolean {
  const ops = new Set(float32Ops)
  const matches = float32Nodes.length ? picomatch([...float32Nodes], GLOB) : () => false
  const named = new Set(float32Nodes)
  return (node) =>
    ops.has(node.opType) ||
    ops.has(node.qualifiedType) ||
    namesOf(node).some((name) => named.has(name) || matches(name))
}

/** True for the Cast that gives an output of the model its type: it stays as it is. */
function makesResult(node: Node, { graph }: Model, keep: KeepIo): boolean {
  const value = node.is('Cast') && node.graph === graph ? node.output() : undefined
  return value?.isOutput === true && value.uses.size === 0 && keep(value.name)
}

function touchesFloat(node: Node): boolean {
  return (
    node.inputs.some((value) => value?.dtype === 'float32') || node.outputs.some((value) => value?.dtype === 'float32')
  )
}

/** True inside the subgraphs of search operators (BeamSearch ...), which check the types of what their bodies take and give. */
function isInForeignBody(node: Node): boolean {
  for (let { owner } = node.graph; owner; { owner } = owner.graph) if (!isControlFlow(owner)) return true
  return false
}

function isControlFlow(node: Node): boolean {
  return CONTROL_FLOW.has(node.opType) && node.domain === ''
}

/** If, Loop and Scan pass values through: all of their floats change, provided that every type in question is known. */
function controlFlow(node: Node): Acceptance | undefined {
  const known = (values: readonly (Value | null)[]): boolean =>
    values.every((value) => !value || value.dtype !== undefined)
  if (!known(node.inputs) || !known(node.outputs)) return undefined
  if (node.subgraphs.some((body) => !known(body.inputs) || !known(body.outputs))) return undefined
  const isFloat = (value: Value | null): boolean => value?.dtype === 'float32'
  return { inputs: node.inputs.map(isFloat), outputs: node.outputs.map(isFloat) }
}

function isBodyInputOfHalf(value: Value, nodes: ReadonlyMap<Node, Acceptance>): boolean {
  return value.isInput && value.graph.owner !== undefined && nodes.has(value.graph.owner)
}

/** True if the outputs of `graph` leave it as float16: it is the body of a converted If, Loop or Scan. */
export function returnsHalf(graph: Graph, plan: Plan): boolean {
  return graph.owner !== undefined && plan.nodes.has(graph.owner)
}
