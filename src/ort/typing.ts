import { modelToProto } from '../graph/export.ts'
import type { Graph } from '../graph/graph.ts'
import type { Model } from '../graph/model.ts'
import type { Node } from '../graph/node.ts'
import type { Dim, ValueType } from '../graph/types.ts'
import { typeToProto } from '../graph/types.ts'
import type { Value } from '../graph/value.ts'
import type { DType } from '../onnx/dtypes.ts'
import { encodeToBytes } from '../onnx/encode.ts'
import { OnnxError } from '../onnx/errors.ts'
import type { GraphProto, ModelProto, NodeProto, ValueInfoProto } from '../onnx/proto.ts'
import { refusedOperator } from './refused.ts'
import { openSession } from './session.ts'

/** Constants from this size on are described to ONNX Runtime instead of being given: shapes are computed from small ones. */
const DESCRIBE_FROM = 1024

export interface TypingOptions {
  scalars?: boolean
}

/** What typing could not do. */
export interface TypingReport {
  /** Operators that ONNX Runtime does not know or has no kernel for; their outputs keep the types that the file states. */
  unknown: string[]
}

/**
 * Finds the type of every value with ONNX Runtime's own inference: a copy of the graph without weights, in which every value
 * is an output, is opened with optimization disabled, and the reported output types are put into `Value.type`. Values that
 * ONNX Runtime says nothing about keep the type that the file states. Costs milliseconds and no arithmetic.
 *
 * @param options `scalars: false` saves telling scalars from values of unknown rank, for passes that need no shapes
 */
export async function inferTypes(model: Model, { scalars = true }: TypingOptions = {}): Promise<TypingReport> {
  const unknown = new Set<string>()
  const proto = modelToProto(model)
  await inferGraph(model.graph, proto, proto.graph!, unknown, scalars)
  return { unknown: [...unknown].sort() }
}

async function inferGraph(
  graph: Graph,
  model: ModelProto,
  wire: GraphProto,
  unknown: Set<string>,
  scalars: boolean,
): Promise<void> {
  const skipped = new Set<Node>()
  for (let attempt = 0; attempt < 50; attempt++) {
    const skeleton = skeletonOf(graph, wire, skipped)
    if (!skeleton) break
    const bytes = encodeToBytes({ ...model, graph: skeleton.graph, metadataProps: [], trainingInfo: [] })
    try {
      const session = await openSession(bytes, { intraOpNumThreads: 1, interOpNumThreads: 1 })
      const ambiguous: Value[] = []
      for (const output of session.outputs) {
        const value = skeleton.outputs.get(output.name)
        if (!value || !output.isTensor) continue
        value.type = typeOf(value, output.type as DType, output.shape)
        if (!value.shape) ambiguous.push(value)
      }
      await session.release()
      if (scalars) await findScalars(ambiguous, skeleton, model)
      break
    } catch (error) {
      if (!(error instanceof OnnxError) || !skip(graph, error.message, skipped, unknown)) break
    }
  }
  for (const node of graph.nodes()) {
    const graphs = node.subgraphs
    if (!graphs.length) continue
    bindBodyInputs(node)
    const bodies = wire.node!.find(({ output }) => output?.[0] === node.outputs[0]?.name)
    for (const [i, body] of graphs.entries()) {
      const bodyWire = bodies?.attribute?.flatMap(({ g, graphs: list }) => [...(g ? [g] : []), ...(list ?? [])])[i]
      if (bodyWire) await inferGraph(body, model, bodyWire, unknown, scalars)
    }
  }
}

/**
 * ONNX Runtime reports scalars and unknown ranks alike. The output of `Shape` tells them apart: it has as many elements as its
 * input has dimensions, and none that are known where the rank is not.
 */
async function findScalars(values: readonly Value[], skeleton: Skeleton, model: ModelProto): Promise<void> {
  for (const value of values) {
    const tensor = value.producer?.is('Constant') ? value.constant : undefined
    if (tensor) value.type = { kind: 'tensor', dtype: tensor.dtype, shape: tensor.dims }
  }
  const rest = values.filter((value) => !value.shape)
  if (!rest.length) return
  const probes = rest.map((_, i) => `rank_probe_${i}`)
  const part = partBefore(rest, skeleton)
  const node = [...part.node!, ...rest.map(({ name }, i) => ({ opType: 'Shape', input: [name], output: [probes[i]!] }))]
  const bytes = encodeToBytes({
    ...model,
    graph: { ...part, node, output: probes.map((name) => ({ name })) },
    metadataProps: [],
  })
  const session = await openSession(bytes, { intraOpNumThreads: 1, interOpNumThreads: 1 })
  for (const [i, output] of session.outputs.entries())
    if (output.isTensor && output.shape[0] === 0) rest[i]!.type = { kind: 'tensor', dtype: rest[i]!.dtype, shape: [] }
  await session.release()
}

/** The nodes that `values` depend on, back to values of known shape, which become inputs: few, as most shapes are known. */
function partBefore(values: readonly Value[], { graph, outputs }: Skeleton): GraphProto {
  const producers = new Map(graph.node!.flatMap((node) => node.output!.map((name) => [name, node] as const)))
  const given = new Map((graph.input ?? []).map((info) => [info.name!, info]))
  const node = new Set<NodeProto>()
  const input = new Map<string, ValueInfoProto>()
  const read = new Set(values.map(({ name }) => name))
  for (const name of read) {
    const info = given.get(name)
    if (info) input.set(name, info)
    const producer = producers.get(name)
    if (!producer || name === '') continue
    const known = outputs.get(name)
    // The elements of constants matter, not only their shapes.
    if (known?.shape && producer.opType !== 'Constant') input.set(name, { name, type: typeToProto(known.type!) })
    else node.add(producer)
    // Bodies read what they like of the graph around them.
    if (producer.attribute?.some(({ g, graphs }) => g ?? graphs?.length)) return graph
    if (node.has(producer)) for (const each of producer.input ?? []) read.add(each)
  }
  for (const each of node) for (const name of each.output!) input.delete(name)
  return { ...graph, input: [...input.values()], node: graph.node!.filter((each) => node.has(each)) }
}

/** Keeps what is already known where ONNX Runtime knows less. */
function typeOf(value: Value, dtype: DType, shape: readonly (number | string)[]): ValueType {
  const dims = shape.map((dim): Dim => (typeof dim === 'number' ? (dim < 0 ? null : dim) : dim || null))
  const known = value.shape
  // ONNX Runtime reports an unknown rank as an empty shape; a value known to have a rank keeps its shape.
  if (dims.length === 0 && known?.length !== 0) return { kind: 'tensor', dtype, shape: known }
  if (known?.length === dims.length) return { kind: 'tensor', dtype, shape: dims.map((dim, i) => dim ?? known[i]!) }
  return { kind: 'tensor', dtype, shape: dims }
}

interface Skeleton {
  graph: GraphProto
  outputs: Map<string, Value>
}

/** The graph with large constants as inputs, without `skipped` nodes and what depends on them, every value an output. */
function skeletonOf(graph: Graph, wire: GraphProto, skipped: ReadonlySet<Node>): Skeleton | undefined {
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

/** ONNX Runtime names the operator, and often the node, that it can't handle. Marks such nodes; false if it names none. */
function skip(graph: Graph, message: string, skipped: Set<Node>, unknown: Set<string>): boolean {
  const before = skipped.size
  const named = /node (?:with name )?[('"]+([^'")]+)/i.exec(message)?.[1]
  const operator = refusedOperator(message)
  for (const node of graph.allNodes()) {
    if (node.opType !== operator && (operator || !named || node.name !== named)) continue
    unknown.add(node.qualifiedType)
    let top = node
    while (top.graph !== graph && top.graph.owner) top = top.graph.owner
    skipped.add(top)
  }
  return skipped.size > before
}

/** Gives the inputs of If, Loop and Scan bodies the types that the node's own inputs have. */
function bindBodyInputs(node: Node): void {
  for (const body of node.subgraphs) {
    const give = (index: number, type: ValueType | undefined): void => {
      const input = body.inputs[index]
      if (input && type && (!input.type || (input.type.kind === 'tensor' && !input.type.dtype))) input.type = type
    }
    if (node.is('Loop')) {
      give(0, { kind: 'tensor', dtype: 'int64', shape: [] })
      give(1, { kind: 'tensor', dtype: 'bool', shape: [] })
      // State may change its shape from one round to the next: only the element type is sure.
      for (let i = 2; i < node.inputCount; i++) {
        const type = node.input(i)?.type
        give(i, type?.kind === 'tensor' ? { kind: 'tensor', dtype: type.dtype } : type)
      }
    } else if (node.is('Scan')) {
      for (let i = 0; i < node.inputCount; i++) {
        const dtype = node.input(i)?.dtype
        if (dtype) give(i, { kind: 'tensor', dtype })
      }
    }
  }
}
