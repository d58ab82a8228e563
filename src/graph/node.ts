import { OnnxError } from '../onnx/errors.ts'
import type { AttributeProto, EntryProto } from '../onnx/proto.ts'
import type { AttributeValue } from './attributes.ts'
import type { Graph } from './graph.ts'
import { Tensor } from './tensor.ts'
import type { Use, Value } from './value.ts'

/** What a node's wire form holds besides what the graph needs, kept for writing it again. */
export interface NodeExtra {
  overload?: string
  docString?: string
  metadataProps?: EntryProto[]
  deviceConfigurations?: Uint8Array[]
  $unknowns?: Uint8Array[]
  /** The wire form of attributes, reused while their value is the one that was read. */
  attributeProtos?: Map<AttributeValue, AttributeProto>
}

const NONE: readonly Graph[] = []

/**
 * An operator of a graph. Inputs may be null (an optional input left out), and so may outputs. Nodes are made by
 * `Graph.insert` and live in a linked list: `next` and `previous` stay valid while the list changes around them.
 */
export class Node {
  opType: string
  /** '' is ai.onnx. */
  domain: string
  name: string
  readonly graph: Graph
  readonly #inputs: ((Use & { value: Value }) | null)[] = []
  readonly #outputs: (Value | null)[] = []
  /** In file order. Change it freely; a subgraph that leaves must be discarded with `Graph.discard`. */
  readonly attributes: Map<string, AttributeValue> = new Map()
  extra: NodeExtra | undefined = undefined
  /** For Graph only. */
  next: Node | undefined = undefined
  /** For Graph only. */
  previous: Node | undefined = undefined
  /** False once the node was removed from its graph. For Graph only to set. */
  isLinked = false

  constructor(graph: Graph, opType: string, domain: string, name: string) {
    this.graph = graph
    this.opType = opType
    this.domain = domain
    this.name = name
  }

  /** True for `opType` of the standard domain, or of `domain`. */
  is(opType: string, domain = ''): boolean {
    return this.opType === opType && this.domain === domain
  }

  /** `domain:Op`, or `Op` in the standard domain. */
  get qualifiedType(): string {
    return this.domain ? `${this.domain}:${this.opType}` : this.opType
  }

  /** How to name the node to a person: its name, or its type and first output. */
  get label(): string {
    return this.name || `${this.opType} -> ${this.#outputs.find((value) => value)?.name ?? '(nothing)'}`
  }

  get inputs(): (Value | null)[] {
    return this.#inputs.map((use) => use?.value ?? null)
  }

  get inputCount(): number {
    return this.#inputs.length
  }

  /** Input `index`, or undefined if it is left out. */
  input(index: number): Value | undefined {
    return this.#inputs[index]?.value
  }

  get outputs(): readonly (Value | null)[] {
    return this.#outputs
  }

  /** Output `index`. Throws if the node has none there: for outputs that the operator always has. */
  output(index = 0): Value {
    const value = this.#outputs[index]
    if (!value) throw new Error(`${this.label} has no output ${index}`)
    return value
  }

  /** Makes input `index` read `value` (null: leave it out). Inputs beyond the last grow, trailing nulls vanish. */
  setInput(index: number, value: Value | null): void {
    while (this.#inputs.length <= index) this.#inputs.push(null)
    const old = this.#inputs[index]
    if (old) old.value.removeUse(old)
    const use = value && { node: this, index, value }
    if (use) value.addUse(use)
    this.#inputs[index] = use
    if (!value) while (this.#inputs.length && !this.#inputs.at(-1)) this.#inputs.pop()
  }

  /** Replaces all inputs. */
  setInputs(values: readonly (Value | null)[]): void {
    for (let i = this.#inputs.length - 1; i >= values.length; i--) this.setInput(i, null)
    values.forEach((value, i) => void this.setInput(i, value))
  }

  /** Binds output `index` to a value without producer. For Graph and import; new outputs come with `Graph.insert`. */
  setOutput(index: number, value: Value | null): void {
    while (this.#outputs.length <= index) this.#outputs.push(null)
    this.#outputs[index] = value
    if (value) {
      value.producer = this
      value.outputIndex = index
    }
  }

  /** Appends inputs as they stand in a file, nulls included. For import only. */
  loadInputs(values: readonly (Value | null)[]): void {
    for (const [index, value] of values.entries()) {
      const use = value && { node: this, index, value }
      if (use) value.addUse(use)
      this.#inputs.push(use)
    }
  }

  /** Integer attribute, or `fallback` if it is not there. */
  int(name: string): number | undefined
  int(name: string, fallback: number): number
  int(name: string, fallback?: number): number | undefined {
    const value = this.#attribute(name, 'int')
    return value === undefined ? fallback : Number(value)
  }

  /** Float attribute, or `fallback` if it is not there. */
  float(name: string): number | undefined
  float(name: string, fallback: number): number
  float(name: string, fallback?: number): number | undefined {
    return this.#attribute(name, 'float') ?? fallback
  }

  /** String attribute, or `fallback` if it is not there. */
  string(name: string): string | undefined
  string(name: string, fallback: string): string
  string(name: string, fallback?: string): string | undefined {
    const value = this.#attribute(name, 'string') ?? fallback
    return value instanceof Uint8Array ? new TextDecoder().decode(value) : value
  }

  /** List of integers, or undefined if it is not there. */
  ints(name: string): number[] | undefined {
    return this.#attribute(name, 'ints')?.map(Number)
  }

  /** List of floats, or undefined if it is not there. */
  floats(name: string): readonly number[] | undefined {
    return this.#attribute(name, 'floats')
  }

  /** Tensor attribute, or undefined if it is not there. */
  tensor(name: string): Tensor | undefined {
    return this.#attribute(name, 'tensor')
  }

  #attribute<K extends AttributeValue['kind']>(
    name: string,
    kind: K,
  ): Extract<AttributeValue, { kind: K }>['value'] | undefined {
    const attribute = this.attributes.get(name)
    if (!attribute) return undefined
    if (attribute.kind === kind) return attribute.value as never
    if (attribute.kind === 'reference') return undefined
    throw new OnnxError('NODE_INVALID', `attribute "${name}" is a ${attribute.kind}, not a ${kind}`, {
      place: { node: this.label },
    })
  }

  /** The subgraphs of the node (If branches, Loop and Scan bodies). */
  get subgraphs(): readonly Graph[] {
    if (this.attributes.size === 0) return NONE
    let graphs: readonly Graph[] = NONE
    for (const attribute of this.attributes.values()) {
      if (attribute.kind === 'graph') graphs = [...graphs, attribute.value]
      else if (attribute.kind === 'graphs') graphs = [...graphs, ...attribute.value]
    }
    return graphs
  }

  /** The data of a Constant node as a tensor, or undefined for kinds that have no dense tensor. */
  constantTensor(): Tensor | undefined {
    const [name, attribute] = this.attributes.entries().next().value ?? []
    switch (attribute?.kind) {
      case 'tensor':
        return name === 'value' ? attribute.value : undefined
      case 'float':
        return Tensor.float32([], [attribute.value])
      case 'floats':
        return Tensor.float32([attribute.value.length], attribute.value)
      case 'int':
        return Tensor.int64([attribute.value], [])
      case 'ints':
        return Tensor.int64(attribute.value)
      case 'string':
      case 'strings': {
        const list = attribute.kind === 'string' ? [attribute.value] : attribute.value
        if (!list.every((item) => typeof item === 'string')) return undefined
        return Tensor.strings(attribute.kind === 'string' ? [] : [list.length], list)
      }
      default:
        return undefined
    }
  }
}
