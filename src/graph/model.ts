import type { AttributeProto, EntryProto, ModelProto, OperatorSetIdProto } from '../onnx/proto.ts'
import { Graph } from './graph.ts'
import { Names } from './names.ts'
import type { Node } from './node.ts'

/** A function that the model defines for its own use. Its graph's values have no types. */
export interface LocalFunction {
  name: string
  domain: string
  overload: string
  graph: Graph
  /** Attribute names without default. */
  attributes: string[]
  /** Attributes with default. */
  defaults: AttributeProto[]
  opsets: Map<string, number>
  extra: { docString?: string; metadataProps?: EntryProto[]; $unknowns?: Uint8Array[] }
}

/** What a model's wire form holds besides what passes need, kept for writing it again. */
export interface ModelExtra
  extends Omit<ModelProto, 'graph' | 'functions' | 'opsetImport' | 'irVersion' | 'metadataProps'> {
  /** The wire form of `opsets` entries, reused while their version is the one that was read. */
  opsetProtos?: Map<string, OperatorSetIdProto>
}

/** A model: the main graph, local functions, and the versions of the operator sets they use. */
export class Model {
  irVersion: number
  /** Version by domain; '' is ai.onnx. */
  readonly opsets: Map<string, number> = new Map()
  /** The main graph. Another object after `reloadModel`. */
  graph: Graph
  readonly functions: LocalFunction[] = []
  readonly metadata: Map<string, string> = new Map()
  readonly names: Names = new Names()
  extra: ModelExtra = {}
  /** The file it was read from, for error messages and for relative paths. */
  readonly file: string | undefined

  constructor(options: { irVersion?: number; opset?: number; name?: string; file?: string | undefined } = {}) {
    this.irVersion = options.irVersion ?? 8
    if (options.opset) this.opsets.set('', options.opset)
    this.file = options.file
    this.graph = new Graph(this, options.name ?? 'main')
  }

  /** Version of the standard operator set (1 if the model does not say). */
  get opset(): number {
    return this.opsets.get('') ?? this.opsets.get('ai.onnx') ?? 1
  }

  /** Before IR version 4 every initializer is also an input, and always a constant. */
  get initializersAreOverridable(): boolean {
    return this.irVersion >= 4
  }

  /** Declares that the model uses a domain, where it does not yet. */
  useDomain(domain: string, version = 1): void {
    if (!this.opsets.has(domain)) this.opsets.set(domain, version)
  }

  /** Main graph, its subgraphs, function bodies and theirs. */
  *allGraphs(): Generator<Graph> {
    yield* this.graph.allGraphs()
    for (const { graph } of this.functions) yield* graph.allGraphs()
  }

  /** Bytes of all initializers. Reads none of them. */
  get weightBytes(): number {
    let bytes = 0
    for (const graph of this.allGraphs()) for (const { tensor } of graph.initializers) bytes += tensor?.byteLength ?? 0
    return bytes
  }

  /** Every node of every graph. */
  *allNodes(): Generator<Node> {
    yield* this.graph.allNodes()
    for (const { graph } of this.functions) yield* graph.allNodes()
  }

  /** Node count by operator (`domain:Op` outside ai.onnx), sorted by name, subgraphs included, functions not. */
  histogram(): Record<string, number> {
    const counts = new Map<string, number>()
    for (const { qualifiedType } of this.graph.allNodes())
      counts.set(qualifiedType, (counts.get(qualifiedType) ?? 0) + 1)
    return Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)))
  }
}
