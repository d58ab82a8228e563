import { decodeFile, decodeModel } from '../onnx/decode.ts'
import { OnnxError } from '../onnx/errors.ts'
import type { AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto } from '../onnx/proto.ts'
import type { AttributeValue } from './attributes.ts'
import { Graph } from './graph.ts'
import { type LocalFunction, Model } from './model.ts'
import { Node, type NodeExtra } from './node.ts'
import { Tensor } from './tensor.ts'
import { typeFromProto } from './types.ts'
import { Value } from './value.ts'

/** Reads a model file. Weights stay in the file until they are needed. Throws OnnxError on anything that is not a valid model. */
export function readModel(file: string): Model {
  return modelFromProto(decodeFile(file), file)
}

/** Reads a model from memory. External data is refused, as there is no folder to look in. */
export function readModelBytes(bytes: Uint8Array): Model {
  return modelFromProto(decodeModel(bytes))
}

/** Codes of `AttributeProto.AttributeType`. */
export const ATTRIBUTE_CODES = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
  tensors: 9,
  graphs: 10,
  sparse_tensor: 11,
  sparse_tensors: 12,
  type_proto: 13,
  type_protos: 14,
} as const

/** Builds the graph of a decoded model. `file` is where it came from: its folder holds external data. */
export function modelFromProto(proto: ModelProto, file?: string): Model {
  const model = new Model({ file })
  reloadModel(model, proto)
  return model
}

/**
 * Makes a model what a wire form says: everything it held is replaced, in the same object. For tools that take a model and give
 * back another one.
 */
export function reloadModel(model: Model, proto: ModelProto): void {
  const { file } = model
  model.irVersion = Number(proto.irVersion ?? 0)
  model.graph = new Graph(model, proto.graph?.name ?? '')
  model.opsets.clear()
  model.metadata.clear()
  model.functions.length = 0
  for (const { domain, version } of proto.opsetImport ?? []) model.opsets.set(domain ?? '', Number(version))
  for (const { key, value } of proto.metadataProps ?? []) model.metadata.set(key ?? '', value ?? '')
  const { graph: _graph, functions: _functions, opsetImport: _o, irVersion: _i, metadataProps: _m, ...extra } = proto
  model.extra = carry(proto, extra)
  model.extra.opsetProtos = new Map((proto.opsetImport ?? []).map((entry) => [entry.domain ?? '', entry]))
  const reader = new GraphReader(model, file)
  reader.fill(model.graph, proto.graph!, undefined)
  for (const fn of proto.functions ?? []) {
    const graph = new Graph(model, fn.name ?? '')
    const body: GraphProto = {
      input: (fn.input ?? []).map((name) => ({ name })),
      output: (fn.output ?? []).map((name) => ({ name })),
    }
    if (fn.node?.length) body.node = fn.node
    if (fn.valueInfo?.length) body.valueInfo = fn.valueInfo
    reader.fill(graph, body, undefined)
    const local: LocalFunction = {
      name: fn.name ?? '',
      domain: fn.domain ?? '',
      overload: fn.overload ?? '',
      graph,
      attributes: [...(fn.attribute ?? [])],
      defaults: [...(fn.attributeProto ?? [])],
      opsets: new Map((fn.opsetImport ?? []).map(({ domain, version }) => [domain ?? '', Number(version)])),
      extra: carry(fn, pick(fn, ['docString', 'metadataProps'])),
    }
    model.functions.push(local)
  }
}

/** Copies unknown fields (which protobufjs makes non-enumerable) to `extra`. */
function carry<T extends object>(proto: { $unknowns?: Uint8Array[] }, extra: T): T & { $unknowns?: Uint8Array[] } {
  return proto.$unknowns ? { ...extra, $unknowns: proto.$unknowns } : extra
}

/** Own properties of a message among `keys`. Decoded messages inherit defaults, which must not be taken for content. */
function pick<T extends object, K extends keyof T>(proto: T, keys: readonly K[]): Pick<T, K> {
  const picked: Partial<T> = {}
  for (const key of keys) if (Object.hasOwn(proto, key)) picked[key] = proto[key]
  return picked as Pick<T, K>
}

type Scope = { readonly values: Map<string, Value>; readonly parent: Scope | undefined }

class GraphReader {
  readonly #model: Model
  readonly #file: string | undefined

  constructor(model: Model, file: string | undefined) {
    this.#model = model
    this.#file = file
  }

  fill(graph: Graph, proto: GraphProto, parent: Scope | undefined): void {
    const scope: Scope = { values: new Map(), parent }
    const extra = carry(proto, pick(proto, ['docString', 'quantizationAnnotation', 'metadataProps']))
    if (Object.keys(extra).length) graph.extra = extra
    for (const info of proto.input ?? []) {
      const value = this.#define(graph, scope, info.name ?? '', 'graph input')
      describe(value, info)
      graph.registerInput(value)
    }
    for (const tensor of proto.initializer ?? []) {
      const name = tensor.name ?? ''
      const value = this.#initializer(graph, scope, name)
      graph.setInitializer(value, Tensor.fromProto(tensor, this.#file))
    }
    for (const sparse of proto.sparseInitializer ?? [])
      graph.setSparse(this.#initializer(graph, scope, sparse.values?.name ?? ''), sparse)
    // Some exporters write a constant twice. ONNX Runtime uses the initializer, or else the last Constant node.
    const lastConstant = new Map<string, NodeProto>()
    for (const node of proto.node ?? []) if (node.opType === 'Constant') lastConstant.set(node.output?.[0] ?? '', node)
    const wires = (proto.node ?? []).filter((node) => {
      const name = node.output?.[0] ?? ''
      return node.opType !== 'Constant' || (lastConstant.get(name) === node && !scope.values.get(name)?.tensor)
    })
    const nodes = wires.map((node) => this.#node(graph, scope, node))
    for (const [node, wire] of nodes) this.#connect(node, wire, scope)
    for (const info of proto.output ?? []) {
      const value = this.#find(scope, info.name ?? '')
      if (!value)
        throw new OnnxError('GRAPH_INVALID', `nothing computes the graph output "${info.name}"`, {
          place: { file: this.#file },
          hint: 'The model is incomplete. Export it again.',
        })
      // A captured or repeated value keeps the type it has; an output states its own.
      if (value.graph === graph && !value.isOutput && !value.isInput) describe(value, info)
      graph.addOutput(value)
    }
    for (const info of proto.valueInfo ?? []) {
      const value = scope.values.get(info.name ?? '')
      if (!value || value.isInput || value.isOutput || value.isDeclared) {
        graph.extra ??= {}
        graph.extra.strayInfos ??= []
        graph.extra.strayInfos.push(info)
        this.#model.names.reserve(info.name ?? '')
      } else {
        describe(value, info)
        graph.declare(value)
      }
    }
    if (!parent) this.#checkOrder(graph)
  }

  /** A cyclic graph has no order; finding out now gives a clear error. The order itself is left alone. */
  #checkOrder(graph: Graph): void {
    const before = [...graph.nodes()]
    try {
      if (graph.sort()) for (const node of before) graph.move(node, {})
    } catch (error) {
      throw error instanceof OnnxError ? error.at({ file: this.#file }) : error
    }
  }

  #define(graph: Graph, scope: Scope, name: string, what: string): Value {
    if (scope.values.has(name))
      throw new OnnxError('GRAPH_INVALID', `two values are called "${name}" (the second: ${what})`, {
        place: { file: this.#file },
        hint: 'Names must be unique. Export the model again.',
      })
    const value = new Value(graph, name)
    scope.values.set(name, value)
    this.#model.names.reserve(name)
    return value
  }

  #initializer(graph: Graph, scope: Scope, name: string): Value {
    const input = scope.values.get(name)
    return input?.isInput && !input.tensor && !input.sparse ? input : this.#define(graph, scope, name, 'initializer')
  }

  #find(scope: Scope, name: string): Value | undefined {
    for (let at: Scope | undefined = scope; at; at = at.parent) {
      const value = at.values.get(name)
      if (value) return value
    }
    return undefined
  }

  #node(graph: Graph, scope: Scope, proto: NodeProto): [Node, NodeProto] {
    const node = new Node(graph, proto.opType ?? '', proto.domain ?? '', proto.name ?? '')
    if (node.name) this.#model.names.reserve(node.name)
    const extra: NodeExtra = carry(
      proto,
      pick(proto, ['overload', 'docString', 'metadataProps', 'deviceConfigurations']),
    )
    if (Object.keys(extra).length) node.extra = extra
    graph.link(node)
    for (const [i, name] of (proto.output ?? []).entries())
      node.setOutput(i, name === '' ? null : this.#define(graph, scope, name, `output of ${node.name || node.opType}`))
    return [node, proto]
  }

  #connect(node: Node, proto: NodeProto, scope: Scope): void {
    node.loadInputs(
      (proto.input ?? []).map((name) => {
        if (name === '') return null
        const value = this.#find(scope, name)
        if (value) return value
        throw new OnnxError('GRAPH_INVALID', `the node reads "${name}", which nothing computes`, {
          place: { file: this.#file, node: node.label },
          hint: 'The model is incomplete. Export it again.',
        })
      }),
    )
    for (const attribute of proto.attribute ?? []) {
      const value = this.#attribute(node, attribute, scope)
      node.attributes.set(attribute.name ?? '', value)
      node.extra ??= {}
      node.extra.attributeProtos ??= new Map()
      node.extra.attributeProtos.set(value, attribute)
    }
  }

  #attribute(node: Node, proto: AttributeProto, scope: Scope): AttributeValue {
    if (proto.refAttrName) return { kind: 'reference', value: proto.refAttrName, type: proto.type ?? 0 }
    const code = proto.type || impliedCode(proto)
    const tensorOf = (tensor: NonNullable<AttributeProto['t']>): Tensor => Tensor.fromProto(tensor, this.#file)
    const graphOf = (body: GraphProto): Graph => {
      const graph = new Graph(this.#model, body.name ?? '', node)
      this.fill(graph, body, scope)
      return graph
    }
    switch (code) {
      case ATTRIBUTE_CODES.float:
        return { kind: 'float', value: proto.f ?? 0 }
      case ATTRIBUTE_CODES.int:
        return { kind: 'int', value: proto.i ?? 0 }
      case ATTRIBUTE_CODES.string:
        return { kind: 'string', value: textOf(proto.s ?? new Uint8Array()) }
      case ATTRIBUTE_CODES.tensor:
        if (proto.t) return { kind: 'tensor', value: tensorOf(proto.t) }
        break
      case ATTRIBUTE_CODES.graph:
        if (proto.g) return { kind: 'graph', value: graphOf(proto.g) }
        break
      case ATTRIBUTE_CODES.sparse_tensor:
        if (proto.sparseTensor) return { kind: 'sparse_tensor', value: proto.sparseTensor }
        break
      case ATTRIBUTE_CODES.type_proto:
        if (proto.tp) return { kind: 'type_proto', value: proto.tp }
        break
      case ATTRIBUTE_CODES.floats:
        return { kind: 'floats', value: proto.floats ?? [] }
      case ATTRIBUTE_CODES.ints:
        return { kind: 'ints', value: proto.ints ?? [] }
      case ATTRIBUTE_CODES.strings:
        return { kind: 'strings', value: (proto.strings ?? []).map(textOf) }
      case ATTRIBUTE_CODES.tensors:
        return { kind: 'tensors', value: (proto.tensors ?? []).map(tensorOf) }
      case ATTRIBUTE_CODES.graphs:
        return { kind: 'graphs', value: (proto.graphs ?? []).map(graphOf) }
      case ATTRIBUTE_CODES.sparse_tensors:
        return { kind: 'sparse_tensors', value: proto.sparseTensors ?? [] }
      case ATTRIBUTE_CODES.type_protos:
        return { kind: 'type_protos', value: proto.typeProtos ?? [] }
    }
    throw new OnnxError('NODE_INVALID', `attribute "${proto.name}" has no value of its kind (${code})`, {
      place: { file: this.#file, node: node.label },
      hint: 'The model is damaged or newer than this version understands.',
    })
  }
}

/** Old files leave the kind of an attribute out: it is that of the field that is set. */
function impliedCode(proto: AttributeProto): number {
  const fields = {
    f: 'float',
    i: 'int',
    s: 'string',
    t: 'tensor',
    g: 'graph',
    floats: 'floats',
    ints: 'ints',
    strings: 'strings',
    tensors: 'tensors',
    graphs: 'graphs',
    sparseTensor: 'sparse_tensor',
    tp: 'type_proto',
  } as const
  for (const [field, kind] of Object.entries(fields)) if (Object.hasOwn(proto, field)) return ATTRIBUTE_CODES[kind]
  return 0
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function textOf(bytes: Uint8Array): string | Uint8Array {
  try {
    return utf8.decode(bytes)
  } catch {
    return bytes
  }
}

function describe(value: Value, info: ValueInfoProto): void {
  const type = typeFromProto(info.type)
  if (type) value.type = type
  value.extra = carry(info, pick(info, ['docString', 'metadataProps']))
  if (info.type) value.extra.typeProto = info.type
}
