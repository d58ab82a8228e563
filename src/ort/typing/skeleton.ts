import type { Graph } from '../../graph/graph.ts'
import type { Node } from '../../graph/node.ts'
import { typeToProto, type ValueType } from '../../graph/types.ts'
import type { Value } from '../../graph/value.ts'
import type { GraphProto, NodeProto, ValueInfoProto } from '../../onnx/proto.ts'

/** Constants from this size on are described to ONNX Runtime instead of being given: shapes are computed from small ones. */
const DESCRIBE_FROM = 1024

/** What ONNX Runtime is asked: a graph without weights. */
export interface Skeleton {
  graph: GraphProto
  /** The values that are asked for, by name: all outputs of the graph. */
  outputs: ReadonlyMap<string, Value>
}

/** The graph with large constants as inputs, without `skipped` nodes and what depends on them, every value an output. */
export function skeletonOf(graph: Graph, wire: GraphProto, skipped: ReadonlySet<Node>): Skeleton | undefined {
  const inputs = new Map<string, ValueInfoProto>()
  const initializer = []
  const available = new Set<Value>()
  const outputs = new Map<string, Value>()
  // The data of a constant that callers may replace says nothing; its stated type does.
  const isKnown = (value: Value): boolean =>
    !!value.tensor && !(value.isInput && graph.model.initializersAreOverridable)
  const offer = (value: Value): boolean => {
    if (available.has(value)) return true
    const type: ValueType | undefined = isKnown(value)
      ? { kind: 'tensor', dtype: value.tensor!.dtype, shape: value.tensor!.dims }
      : value.type
    if (!type || (type.kind === 'tensor' && !type.dtype)) return false
    inputs.set(value.name, { name: value.name, type: typeToProto(type) })
    available.add(value)
    return true
  }
  graph.inputs.forEach(offer)
  for (const value of graph.initializers) {
    if (available.has(value)) continue
    if (!value.tensor || value.tensor.byteLength >= DESCRIBE_FROM || value.sparse) offer(value)
    else {
      initializer.push(value.tensor.toProto(value.name))
      available.add(value)
    }
  }
  const wires = new Map((wire.node ?? []).map((node) => [node.output?.find(Boolean) ?? '', node]))
  const node: NodeProto[] = []
  for (const at of graph.nodes()) {
    const large =
      at.constantTensor !== undefined && at.is('Constant') && (at.constantTensor()?.byteLength ?? 0) >= DESCRIBE_FROM
    const own = large ? constantType(at) : undefined
    if (own) {
      inputs.set(at.output().name, { name: at.output().name, type: typeToProto(own) })
      at.output().type = own
      available.add(at.output())
      continue
    }
    const readable = (value: Value | null): boolean =>
      !value || available.has(value) || (value.graph !== graph && offer(value))
    const captured = capturesOf(at)
    const proto = wires.get(at.outputs.find(Boolean)?.name ?? '')
    if (!proto || skipped.has(at) || !at.inputs.every(readable) || !captured.every(readable)) {
      for (const value of at.outputs) if (value) offer(value)
      continue
    }
    node.push(proto)
    for (const value of at.outputs) {
      if (!value) continue
      available.add(value)
      outputs.set(value.name, value)
    }
  }
  if (!outputs.size) return undefined
  return {
    graph: {
      name: 'types',
      node,
      initializer,
      input: [...inputs.values()],
      output: [...outputs.keys()].map((name) => ({ name })),
    },
    outputs,
  }
}

function constantType(node: Node): ValueType | undefined {
  const tensor = node.constantTensor()
  return tensor && { kind: 'tensor', dtype: tensor.dtype, shape: tensor.dims }
}

/** Values of graphs further out that the subgraphs of a node read. */
function capturesOf(node: Node): Value[] {
  const inside = new Set(node.subgraphs.flatMap((graph) => [...graph.allGraphs()]))
  const captured = new Set<Value>()
  for (const graph of inside) {
    for (const inner of graph.nodes())
      for (const value of inner.inputs) if (value && !inside.has(value.graph)) captured.add(value)
    for (const value of graph.outputs) if (!inside.has(value.graph)) captured.add(value)
  }
  return [...captured]
}
