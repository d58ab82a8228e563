import { type DType, isFloat } from '../onnx/dtypes.ts'
import type { EntryProto, SparseTensorProto, TypeProto } from '../onnx/proto.ts'
import type { Graph } from './graph.ts'
import type { Node } from './node.ts'
import type { Tensor } from './tensor.ts'
import type { Dim, ValueType } from './types.ts'

/** One place where a value is read: input `index` of `node` (which may be inside a subgraph of the value's graph). */
export interface Use {
  readonly node: Node
  readonly index: number
}

/** What a value's `ValueInfoProto` holds besides name and type, kept for writing it again. */
export interface ValueExtra {
  /** The type as it came, written again while `type` is unchanged. */
  typeProto?: TypeProto
  docString?: string
  metadataProps?: EntryProto[]
  $unknowns?: Uint8Array[]
}

/**
 * A value of a graph: an input, an initializer, or an output of a node. It knows its producer and its uses; names matter only
 * in files. Edges change through `Node.setInput`, `Value.replaceUses` and the methods of `Graph`.
 */
export class Value {
  name: string
  readonly graph: Graph
  /** The node that computes it; undefined for inputs and initializers. */
  producer: Node | undefined = undefined
  /** Which output of `producer` it is. */
  outputIndex = 0
  /** Data of an initializer. */
  tensor: Tensor | undefined = undefined
  /** Data of a sparse initializer, carried along. */
  sparse: SparseTensorProto | undefined = undefined
  /** True if the caller of the graph feeds it (with `tensor`: may feed it). */
  isInput = false
  /** True if the file states its type in `value_info`. */
  isDeclared = false
  extra: ValueExtra | undefined = undefined
  readonly #uses = new Set<Use>()
  /** How often it stands in the outputs of a graph. Kept by Graph. */
  outputCount = 0
  #type: ValueType | undefined

  constructor(graph: Graph, name: string, type?: ValueType) {
    this.graph = graph
    this.name = name
    this.#type = type
  }

  get type(): ValueType | undefined {
    return this.#type
  }

  set type(type: ValueType | undefined) {
    this.#type = type
    if (this.extra) delete this.extra.typeProto
  }

  /** Element type, if known. Initializers know theirs. */
  get dtype(): DType | undefined {
    if (this.tensor) return this.tensor.dtype
    return this.#type?.kind === 'tensor' ? this.#type.dtype : undefined
  }

  /** Shape, if the rank is known. Initializers know theirs. */
  get shape(): readonly Dim[] | undefined {
    if (this.tensor) return this.tensor.dims
    return this.#type?.kind === 'tensor' ? this.#type.shape : undefined
  }

  /** True if the element type is known to be a floating-point one. */
  get isFloat(): boolean {
    return isFloat(this.dtype)
  }

  get rank(): number | undefined {
    return this.shape?.length
  }

  /** Every place that reads the value, in subgraphs too; graph outputs are not among them. */
  get uses(): ReadonlySet<Use> {
    return this.#uses
  }

  /** True if the value is an output of a graph. */
  get isOutput(): boolean {
    return this.outputCount > 0
  }

  /** True if nothing reads the value and no graph returns it. */
  get isUnused(): boolean {
    return this.#uses.size === 0 && this.outputCount === 0
  }

  /** The only node that reads the value, if it is read once and is no graph output. */
  get onlyUser(): Node | undefined {
    if (this.#uses.size !== 1 || this.outputCount > 0) return undefined
    return this.#uses.values().next().value?.node
  }

  /** The nodes that read the value, each once. */
  get users(): Node[] {
    return [...new Set([...this.#uses].map(({ node }) => node))]
  }

  /**
   * The tensor if the value never changes: an initializer that callers can't override, or the output of a Constant node.
   * Numbers given as attributes (`value_float`, `value_ints` ...) come as tensors too.
   */
  get constant(): Tensor | undefined {
    if (this.tensor) return this.isInput && this.graph.model.initializersAreOverridable ? undefined : this.tensor
    return this.producer?.opType === 'Constant' && this.producer.domain === ''
      ? this.producer.constantTensor()
      : undefined
  }

  /** Makes every reader of this value read `other` instead. Graph outputs stay: see `Graph.replace`. */
  replaceUses(other: Value): void {
    for (const { node, index } of [...this.#uses]) node.setInput(index, other)
  }

  /** For Node only. */
  addUse(use: Use): void {
    this.#uses.add(use)
  }

  /** For Node only. */
  removeUse(use: Use): void {
    this.#uses.delete(use)
  }
}
