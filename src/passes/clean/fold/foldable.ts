import type { Graph } from '../../../graph/graph.ts'
import type { Node } from '../../../graph/node.ts'
import type { Value } from '../../../graph/value.ts'
import { isReturnedFromInside } from '../constants.ts'
import { hasReference, isDeterministic, isStandard } from '../determinism.ts'

/** Left as they are: constants already, handled elsewhere, kept for the runtime (quantized weights), or not tensors. */
const NEVER =
  /^(Constant|Identity|DequantizeLinear|QuantizeLinear|DynamicQuantizeLinear|Dropout|Optional.*|Sequence.*|SplitToSequence|ConcatFromSequence|StringSplit)$/

/** Nodes that depend on constants only, in order. */
export function foldableNodes(graph: Graph, refused: ReadonlySet<Node>): Set<Node> {
  const nodes = new Set<Node>()
  graph.sort()
  for (const node of graph.nodes()) {
    if (!isStandard(node) || NEVER.test(node.opType) || refused.has(node)) continue
    if (!node.inputs.some(Boolean) || !isDeterministic(node) || hasReference(node)) continue
    if (node.outputs.some((value) => value && isReturnedFromInside(value))) continue
    const isKnown = (value: Value | null): boolean =>
      !value || (value.producer !== undefined && nodes.has(value.producer)) || value.constant !== undefined
    if (node.inputs.every(isKnown)) nodes.add(node)
  }
  return nodes
}

/** Outputs of `nodes` that anything else reads. */
export function boundaryOf(nodes: ReadonlySet<Node>): Value[] {
  const boundary: Value[] = []
  for (const node of nodes)
    for (const value of node.outputs)
      if (value && (value.isOutput || [...value.uses].some((use) => !nodes.has(use.node)))) boundary.push(value)
  return boundary
}
