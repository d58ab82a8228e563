import { OnnxError } from '../onnx/errors.ts'
import type { EntryProto, ValueInfoProto } from '../onnx/proto.ts'
import type { Attributes } from './attributes.ts'
import type { Model } from './model.ts'
import { Node } from './node.ts'
import type { Tensor } from './tensor.ts'
import type { ValueType } from './types.ts'
import { Value } from './value.ts'

/** What a graph's wire form holds besides what passes need, kept for writing it again. */
export interface GraphExtra {
  docString?: string
  quantizationAnnotation?: Uint8Array[]
  metadataProps?: EntryProto[]
  $unknowns?: Uint8Array[]
  /** `value_info` entries of names that the graph does not have. */
  strayInfos?: ValueInfoProto[]
}

/** A node to insert. `outputs` is a number of fresh values (default 1), or names for them, null leaving one out. */
export interface NewNode {
  op: string
  domain?: string
  inputs: readonly (Value | null)[]
  attributes?: Attributes
  /** Wish for the node's name; made unique. Default: the op type. */
  name?: string
  /** Wishes for the output names, made unique, or how many outputs. */
  outputs?: number | readonly (string | null)[]
  /** Types of the outputs, where they are known. */
  types?: readonly (ValueType | undefined)[]
}

/** Where to insert: before or after a node of the graph; default is the end. */
export interface Position {
  before?: Node | undefined
  after?: Node | undefined
}

/** A graph: the main one, the body of an If, Loop or Scan, or the body of a function. */
export class Graph {
  readonly model: Model
  /** The node whose attribute this graph is; undefined for main graphs and functions. */
  owner: Node | undefined
  name: string
  readonly #inputs: Value[] = []
  readonly #outputs: Value[] = []
  readonly #initializers = new Set<Value>()
  readonly #infos = new Set<Value>()
  extra: GraphExtra | undefined = undefined
  #first: Node | undefined = undefined
  #last: Node | undefined = undefined
  #size = 0

  constructor(model: Model, name: string, owner?: Node) {
    this.model = model
    this.name = name
    this.owner = owner
  }

  get inputs(): readonly Value[] {
    return this.#inputs
  }

  get outputs(): readonly Value[] {
    return this.#outputs
  }

  /** Dense and sparse initializers, in file order; those that are also inputs have `isInput`. */
  get initializers(): ReadonlySet<Value> {
    return this.#initializers
  }

  /** Values whose type the file declares in `value_info`, in file order. */
  get declared(): ReadonlySet<Value> {
    return this.#infos
  }

  get nodeCount(): number {
    return this.#size
  }

  get firstNode(): Node | undefined {
    return this.#first
  }

  get lastNode(): Node | undefined {
    return this.#last
  }

  /** The nodes in order. Nodes may be removed and inserted meanwhile. */
  *nodes(): Generator<Node> {
    for (let node = this.#first; node; ) {
      yield node
      // A removed node keeps pointing to what followed it, so the walk finds its way back into the list.
      do node = node.next
      while (node && !node.isLinked)
    }
  }

  /** The nodes of this graph and, recursively, of the subgraphs of its nodes. */
  *allNodes(): Generator<Node> {
    for (const node of this.nodes()) {
      yield node
      for (const graph of node.subgraphs) yield* graph.allNodes()
    }
  }

  /** This graph and all graphs below it. */
  *allGraphs(): Generator<Graph> {
    yield this
    for (const node of this.nodes()) for (const graph of node.subgraphs) yield* graph.allGraphs()
  }

  /** Inserts a new node and returns it. Its outputs are fresh values with unique names. */
  insert(wanted: NewNode, position: Position = {}): Node {
    const { names } = this.model
    const wish = wanted.name ?? wanted.op
    const node = new Node(this, wanted.op, wanted.domain ?? '', names.fresh(wish))
    node.setInputs(wanted.inputs)
    for (const [name, value] of Object.entries(wanted.attributes ?? {})) if (value) node.attributes.set(name, value)
    const count = typeof wanted.outputs === 'number' ? wanted.outputs : 1
    const outputs = Array.isArray(wanted.outputs)
      ? (wanted.outputs as (string | null)[])
      : Array.from({ length: count }, (_, i) => (count === 1 ? `${node.name}_output` : `${node.name}_output_${i}`))
    outputs.forEach((name, i) => {
      node.setOutput(i, name === null ? null : new Value(this, names.fresh(name), wanted.types?.[i]))
    })
    this.link(node, position)
    return node
  }

  /** Puts an unlinked node into the list. For import and `insert`. */
  link(node: Node, { before, after }: Position = {}): void {
    const previous = before ? before.previous : (after ?? this.#last)
    const next = before ?? (after ? after.next : undefined)
    node.previous = previous
    node.next = next
    if (previous) previous.next = node
    else this.#first = node
    if (next) next.previous = node
    else this.#last = node
    node.isLinked = true
    this.#size++
  }

  /**
   * Removes a node together with its outputs (and its subgraphs). Throws if one of the outputs is still used.
   */
  remove(node: Node): void {
    const used = node.outputs.find((value) => value && !value.isUnused)
    if (used) throw new Error(`${node.label} can't be removed: "${used.name}" is still used`)
    node.setInputs([])
    for (const graph of node.subgraphs) graph.discard()
    for (const value of node.outputs) if (value) this.undeclare(value)
    this.#unlink(node)
  }

  /** Takes a node out of the list and puts it elsewhere in the same graph. */
  move(node: Node, position: Position): void {
    this.#unlink(node)
    this.link(node, position)
  }

  #unlink(node: Node): void {
    if (node.previous) node.previous.next = node.next
    else this.#first = node.next
    if (node.next) node.next.previous = node.previous
    else this.#last = node.previous
    node.isLinked = false
    this.#size--
  }

  /** Gives up every use that nodes of this graph make of values, so that it can be thrown away. */
  discard(): void {
    for (const node of this.allNodes()) node.setInputs([])
    for (let i = this.#outputs.length - 1; i >= 0; i--) this.#outputs[i]!.outputCount--
    this.#outputs.length = 0
  }

  addInput(name: string, type?: ValueType, index: number = this.#inputs.length): Value {
    const value = new Value(this, name, type)
    this.registerInput(value, index)
    return value
  }

  /** Makes an existing value (an initializer) an input too. */
  registerInput(value: Value, index: number = this.#inputs.length): void {
    value.isInput = true
    this.#inputs.splice(index, 0, value)
  }

  /** Takes a value out of the inputs. An initializer stays one. */
  removeInput(value: Value): void {
    value.isInput = false
    this.#inputs.splice(this.#inputs.indexOf(value), 1)
  }

  /** Adds an initializer under a unique name made from `name`. */
  addInitializer(name: string, tensor: Tensor): Value {
    const value = new Value(this, this.model.names.fresh(name))
    this.setInitializer(value, tensor)
    return value
  }

  /** Gives a value data, or other data. */
  setInitializer(value: Value, tensor: Tensor): void {
    value.tensor = tensor
    this.#initializers.add(value)
  }

  /** For import: a sparse initializer, carried along. */
  setSparse(value: Value, sparse: Value['sparse']): void {
    value.sparse = sparse
    this.#initializers.add(value)
  }

  /** Removes an initializer. It must be unused, or an input. */
  removeInitializer(value: Value): void {
    if (!value.isInput && !value.isUnused) throw new Error(`initializer "${value.name}" is still used`)
    value.tensor = undefined
    value.sparse = undefined
    this.#initializers.delete(value)
    this.undeclare(value)
  }

  /** States a value's type in `value_info` when the model is written. */
  declare(value: Value): void {
    value.isDeclared = true
    this.#infos.add(value)
  }

  undeclare(value: Value): void {
    value.isDeclared = false
    this.#infos.delete(value)
  }

  addOutput(value: Value, index: number = this.#outputs.length): void {
    value.outputCount++
    this.#outputs.splice(index, 0, value)
  }

  removeOutput(index: number): void {
    this.#outputs.splice(index, 1)[0]!.outputCount--
  }

  /** Makes output `index` of the graph another value. The name that callers see changes with it: see `replace`. */
  setOutput(index: number, value: Value): void {
    this.#outputs[index]!.outputCount--
    value.outputCount++
    this.#outputs[index] = value
  }

  /**
   * Makes `fresh` take the place of `old` everywhere: for its readers and, if `old` is an output of this graph, as output
   * under the same name. Where `fresh` can't take that name (it is an input, an initializer, of another graph, or an output
   * itself) an Identity in between carries it. `old` stays behind unused.
   */
  replace(old: Value, fresh: Value): void {
    if (old === fresh) return
    old.replaceUses(fresh)
    if (!old.isOutput) return
    const free = fresh.graph === this && fresh.producer && !fresh.isOutput && !fresh.isInput && !fresh.tensor
    let output = fresh
    if (!free) {
      const after = fresh.graph === this ? fresh.producer : undefined
      const position = after ? { after } : { before: this.#first }
      output = this.insert({ op: 'Identity', inputs: [fresh], types: [fresh.type ?? old.type] }, position).output()
    }
    const name = output.name
    output.name = old.name
    old.name = name
    // The declared type is part of the model's signature: it stays as it was.
    if (old.type) output.type = old.type
    output.extra = old.extra
    this.#outputs.forEach((value, i) => {
      if (value === old) this.setOutput(i, output)
    })
  }

  /**
   * Puts the nodes into topological order, changing as little as possible: nodes that are in order keep it.
   *
   * @returns true if the order changed
   * @throws OnnxError if the graph has a cycle, naming nodes on it
   */
  sort(): boolean {
    const waiting = new Map<Node, number>()
    const order = new Map<Node, number>()
    let position = 0
    let sorted = true
    const seen = new Set<Node>()
    for (const node of this.nodes()) {
      order.set(node, position++)
      const producers = this.#producersOf(node)
      for (const producer of producers) if (!seen.has(producer)) sorted = false
      waiting.set(node, producers.size)
      seen.add(node)
    }
    if (sorted) return false
    const ready = new Heap<Node>((a, b) => order.get(a)! - order.get(b)!)
    const readers = new Map<Node, Node[]>()
    for (const node of waiting.keys()) {
      for (const producer of this.#producersOf(node)) {
        const list = readers.get(producer)
        if (list) list.push(node)
        else readers.set(producer, [node])
      }
      if (waiting.get(node) === 0) ready.push(node)
    }
    const result: Node[] = []
    for (let node = ready.pop(); node; node = ready.pop()) {
      result.push(node)
      waiting.delete(node)
      for (const reader of readers.get(node) ?? []) {
        const left = waiting.get(reader)! - 1
        waiting.set(reader, left)
        if (left === 0) ready.push(reader)
      }
    }
    if (waiting.size) throw cycle([...waiting.keys()])
    this.#relink(result)
    return true
  }

  #relink(nodes: readonly Node[]): void {
    nodes.forEach((node, i) => {
      node.previous = nodes[i - 1]
      node.next = nodes[i + 1]
    })
    this.#first = nodes[0]
    this.#last = nodes.at(-1)
  }

  /** The nodes of this graph whose outputs `node` (or a subgraph of it) reads. */
  #producersOf(node: Node): Set<Node> {
    const producers = new Set<Node>()
    const collect = (reader: Node): void => {
      for (const value of reader.inputs) if (value?.producer && value.graph === this) producers.add(value.producer)
      for (const graph of reader.subgraphs) {
        for (const inner of graph.nodes()) collect(inner)
        for (const value of graph.outputs) if (value.producer && value.graph === this) producers.add(value.producer)
      }
    }
    collect(node)
    return producers
  }
}

function cycle(nodes: readonly Node[]): OnnxError {
  const named = nodes.slice(0, 5).map(({ label }) => label)
  return new OnnxError(
    'GRAPH_CYCLE',
    `the graph has a cycle through ${named.join(', ')}${nodes.length > 5 ? ', ...' : ''}`,
    {
      place: { node: named[0] },
      hint: 'No runtime can execute it. Export the model again.',
    },
  )
}

/** Binary min-heap. */
class Heap<T> {
  readonly #items: T[] = []
  readonly #compare: (a: T, b: T) => number

  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare
  }

  push(item: T): void {
    const items = this.#items
    let at = items.push(item) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (this.#compare(items[at]!, items[parent]!) >= 0) break
      ;[items[at], items[parent]] = [items[parent]!, items[at]!]
      at = parent
    }
  }

  pop(): T | undefined {
    const items = this.#items
    const top = items[0]
    const last = items.pop()
    if (items.length && last !== undefined) {
      items[0] = last
      for (let at = 0; ; ) {
        let least = at
        for (const child of [2 * at + 1, 2 * at + 2])
          if (child < items.length && this.#compare(items[child]!, items[least]!) < 0) least = child
        if (least === at) break
        ;[items[at], items[least]] = [items[least]!, items[at]!]
        at = least
      }
    }
    return top
  }
}
