import type { AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto } from '../onnx/proto.ts'
import type { AttributeValue } from './attributes.ts'
import type { Graph } from './graph.ts'
import { ATTRIBUTE_CODES } from './import.ts'
import type { Model } from './model.ts'
import type { Node } from './node.ts'
import type { Tensor } from './tensor.ts'
import { typeToProto } from './types.ts'
import { unshadow } from './unshadow.ts'
import type { Value } from './value.ts'

/** Gives the wire form of an initializer, for writers that put its data elsewhere; undefined: embed it as usual. */
export type PlaceTensor = (tensor: Tensor, name: string) => TensorProto | undefined

/**
 * The wire form of a model. What no pass touched is what was read, so that an untouched model encodes to the same bytes.
 * Nodes are put into topological order. Data of external tensors is embedded (by reference: nothing is read yet) unless
 * `place` puts it elsewhere.
 */
export function modelToProto(model: Model, place: PlaceTensor = () => undefined): ModelProto {
  unshadow(model)
  const { opsetProtos, ...extra } = model.extra
  const proto: ModelProto = { ...extra }
  if (model.irVersion) proto.irVersion = model.irVersion
  proto.opsetImport = [...model.opsets].map(([domain, version]) => {
    const original = opsetProtos?.get(domain)
    return Number(original?.version) === version ? original! : { domain, version }
  })
  if (model.metadata.size) proto.metadataProps = [...model.metadata].map(([key, value]) => ({ key, value }))
  proto.graph = graphToProto(model.graph, place)
  if (model.functions.length)
    proto.functions = model.functions.map((fn) => {
      const { node, valueInfo } = graphToProto(fn.graph, place)
      return {
        ...fn.extra,
        name: fn.name,
        input: fn.graph.inputs.map(({ name }) => name),
        output: fn.graph.outputs.map(({ name }) => name),
        attribute: fn.attributes,
        attributeProto: fn.defaults,
        ...(node ? { node } : {}),
        ...(valueInfo ? { valueInfo } : {}),
        opsetImport: [...fn.opsets].map(([domain, version]) => ({ domain, version })),
        domain: fn.domain,
        ...(fn.overload ? { overload: fn.overload } : {}),
      }
    })
  return proto
}

function graphToProto(graph: Graph, place: PlaceTensor): GraphProto {
  graph.sort()
  const { strayInfos, ...extra } = graph.extra ?? {}
  const proto: GraphProto = { ...extra }
  if (graph.name) proto.name = graph.name
  proto.node = [...graph.nodes()].map((node) => nodeToProto(node, place))
  proto.input = graph.inputs.map(infoToProto)
  proto.output = graph.outputs.map(infoToProto)
  const initializers = [...graph.initializers]
  proto.initializer = initializers
    .filter(({ tensor }) => tensor)
    .map(({ tensor, name }) => place(tensor!, name) ?? tensor!.toProto(name))
  proto.sparseInitializer = initializers.filter(({ sparse }) => sparse).map(({ sparse }) => sparse!)
  proto.valueInfo = [...graph.declared].filter((value) => !value.isOutput).map(infoToProto)
  if (strayInfos) proto.valueInfo.push(...strayInfos)
  return proto
}

function infoToProto(value: Value): ValueInfoProto {
  const { typeProto, ...extra } = value.extra ?? {}
  const proto: ValueInfoProto = { name: value.name, ...extra }
  const type = typeProto ?? (value.type && typeToProto(value.type))
  if (type) proto.type = type
  return proto
}

function nodeToProto(node: Node, place: PlaceTensor): NodeProto {
  const { attributeProtos, ...extra } = node.extra ?? {}
  const proto: NodeProto = { ...extra, opType: node.opType }
  if (node.name) proto.name = node.name
  if (node.domain) proto.domain = node.domain
  proto.input = node.inputs.map((value) => value?.name ?? '')
  proto.output = node.outputs.map((value) => value?.name ?? '')
  proto.attribute = [...node.attributes].map(([name, value]) =>
    attributeToProto(name, value, attributeProtos?.get(value), place),
  )
  return proto
}

function attributeToProto(
  name: string,
  attribute: AttributeValue,
  original: AttributeProto | undefined,
  place: PlaceTensor,
): AttributeProto {
  const hasGraph = attribute.kind === 'graph' || attribute.kind === 'graphs'
  if (original && !hasGraph && original.name === name) return original
  const bytesOf = (text: string | Uint8Array): Uint8Array =>
    typeof text === 'string' ? new TextEncoder().encode(text) : text
  if (attribute.kind === 'reference') return { name, refAttrName: attribute.value, type: attribute.type }
  const proto: AttributeProto = { name, type: ATTRIBUTE_CODES[attribute.kind] }
  if (original && !Object.hasOwn(original, 'type')) delete proto.type
  if (original?.docString) proto.docString = original.docString
  switch (attribute.kind) {
    case 'float':
      return { ...proto, f: attribute.value }
    case 'int':
      return { ...proto, i: attribute.value }
    case 'string':
      return { ...proto, s: bytesOf(attribute.value) }
    case 'tensor':
      return { ...proto, t: attribute.value.toProto(original?.t?.name ?? '') }
    case 'graph':
      return { ...proto, g: graphToProto(attribute.value, place) }
    case 'sparse_tensor':
      return { ...proto, sparseTensor: attribute.value }
    case 'type_proto':
      return { ...proto, tp: attribute.value }
    case 'floats':
      return { ...proto, floats: [...attribute.value] }
    case 'ints':
      return { ...proto, ints: [...attribute.value] }
    case 'strings':
      return { ...proto, strings: attribute.value.map(bytesOf) }
    case 'tensors':
      return { ...proto, tensors: attribute.value.map((tensor) => tensor.toProto('')) }
    case 'graphs':
      return { ...proto, graphs: attribute.value.map((graph) => graphToProto(graph, place)) }
    case 'sparse_tensors':
      return { ...proto, sparseTensors: [...attribute.value] }
    case 'type_protos':
      return { ...proto, typeProtos: [...attribute.value] }
  }
}
