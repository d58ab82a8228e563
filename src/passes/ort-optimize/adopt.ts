import { modelToProto } from '../../graph/export.ts'
import type { Model } from '../../graph/model.ts'
import { Tensor } from '../../graph/tensor.ts'
import { encodeToBytes } from '../../onnx/encode.ts'
import type { AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto } from '../../onnx/proto.ts'
import { isSameTensor } from '../clean/fingerprint.ts'
import { withoutDefaults } from './defaults.ts'

/**
 * The wire form of what ONNX Runtime made of a model, as the model it was: with its inputs, outputs, metadata and documentation,
 * without the operator sets that nothing uses. Weights that are still the same are those of the original, wherever they lie;
 * changed ones are in memory, so that `optimized` can go away.
 *
 * @param baseline what ONNX Runtime writes without optimizing: tells its defaults from what it changed
 */
export function adopt(original: Model, baseline: Model, optimized: Model): ModelProto {
  settleTensors(original, optimized)
  const before = modelToProto(original)
  const after = modelToProto(optimized)
  const graph = restoreGraph(before.graph!, modelToProto(baseline).graph!, after.graph!)
  // Before IR version 4 initializers had to be inputs too; now that they differ from those that were, they no longer can.
  const isOld = original.irVersion < 4
  const inputs = original.graph.inputs
  if (isOld) graph.input = graph.input!.filter((_, i) => !inputs[i]!.tensor && !inputs[i]!.sparse)
  const proto: ModelProto = { ...before, graph, opsetImport: usedOpsets(original, optimized, before, after) }
  if (isOld) proto.irVersion = 4
  if (after.functions?.length) proto.functions = after.functions
  else delete proto.functions
  return proto
}

/** A graph with the ends, types and documentation that it had, and with those nodes as they were that are still the same. */
function restoreGraph(before: GraphProto, baseline: GraphProto, after: GraphProto): GraphProto {
  const graph = { ...after }
  for (const key of ['name', 'docString', 'metadataProps', 'quantizationAnnotation', 'input', 'output'] as const) {
    if (Object.hasOwn(before, key)) Object.assign(graph, { [key]: before[key] })
    else delete graph[key]
  }
  const stated = new Set(before.valueInfo?.map(({ name }) => name))
  graph.valueInfo = (after.valueInfo ?? []).filter(({ name }) => stated.has(name))
  graph.node = restoreNodes(before, baseline, after)
  return graph
}

/** ONNX Runtime names all nodes, writes defaults of attributes, and tells how it made its own nodes. */
function restoreNodes(before: GraphProto, baseline: GraphProto, after: GraphProto): NodeProto[] {
  const keyOf = ({ opType, domain, input, output }: NodeProto): string =>
    JSON.stringify([opType, domain ?? '', input, output])
  const byKey = ({ node = [] }: GraphProto): Map<string, NodeProto> =>
    new Map(node.map((proto) => [keyOf(proto), proto]))
  const originals = byKey(before)
  const completed = byKey(baseline)
  return (after.node ?? []).map((node) => {
    const original = originals.get(keyOf(node))
    const complete = completed.get(keyOf(node))
    if (original && complete && textOf(complete) === textOf(node))
      return hasGraphs(node) ? restoreBodies(original, complete, node) : original
    const { docString: _, ...rest } = node
    return withoutDefaults(rest)
  })
}

function restoreBodies(original: NodeProto, complete: NodeProto, node: NodeProto): NodeProto {
  const named = (proto: NodeProto, name: string | undefined): AttributeProto | undefined =>
    proto.attribute?.find((attribute) => attribute.name === name)
  const attribute = original.attribute!.map((old) => {
    const base = named(complete, old.name)?.g
    const fresh = named(node, old.name)?.g
    return old.g && base && fresh ? { ...old, g: restoreGraph(old.g, base, fresh) } : old
  })
  return { ...original, attribute }
}

function hasGraphs({ attribute = [] }: NodeProto): boolean {
  return attribute.some(({ g }) => g)
}

/** A text that is equal for nodes with equal attributes; their subgraphs may differ. */
function textOf({ attribute = [] }: NodeProto): string {
  return attribute
    .map((proto) => (proto.g ? { name: proto.name ?? '' } : proto))
    .map((proto) => Buffer.from(encodeToBytes({ graph: { node: [{ attribute: [proto] }] } })).toString('latin1'))
    .sort()
    .join('\0')
}

function usedOpsets(original: Model, optimized: Model, before: ModelProto, after: ModelProto): OperatorSetIdProto[] {
  const used = new Set([...optimized.allNodes()].map(({ domain }) => domain))
  const added = (after.opsetImport ?? []).filter(({ domain = '' }) => used.has(domain) && !original.opsets.has(domain))
  return [...before.opsetImport!, ...added.filter(({ domain }) => domain || !original.opsets.has('ai.onnx'))]
}

function settleTensors(original: Model, optimized: Model): void {
  const pool = new Map<string, Tensor>()
  for (const graph of original.allGraphs()) {
    for (const { name, tensor } of graph.initializers) if (tensor) pool.set(name, tensor)
    // ONNX Runtime turns Constant nodes into initializers of the same name.
    for (const node of graph.nodes()) {
      const data = node.opType === 'Constant' ? node.constantTensor() : undefined
      if (data) pool.set(node.output().name, data)
    }
  }
  for (const graph of optimized.allGraphs()) {
    for (const value of graph.initializers)
      if (value.tensor) graph.setInitializer(value, settled(value.tensor, pool.get(value.name)))
    for (const node of graph.nodes())
      for (const [name, attribute] of node.attributes)
        if (attribute.kind === 'tensor' && isElsewhere(attribute.value))
          node.attributes.set(name, { kind: 'tensor', value: settled(attribute.value, undefined) })
  }
}

function isElsewhere(tensor: Tensor): boolean {
  return tensor.dtype !== 'string' && !(tensor.source instanceof Uint8Array)
}

function settled(tensor: Tensor, origin: Tensor | undefined): Tensor {
  if (origin && isSameTensor(origin, tensor)) return origin
  return isElsewhere(tensor) && tensor.dtype ? Tensor.of(tensor.dtype, tensor.dims, tensor.bytes()) : tensor
}
