import type { Graph } from '../../graph/graph.ts'
import type { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import { type Dim, tensorType } from '../../graph/types.ts'
import type { Value } from '../../graph/value.ts'
import { constantOf, type Failure, no, sameShape } from '../../rewrite/index.ts'
import { legalityOf } from '../../rules/legality.ts'

const MS = 'com.microsoft'

/** What packing brings into a graph. */
export const PACKED_OPERATORS: readonly string[] = [
  `${MS}:PackedAttention`,
  `${MS}:PackedMultiHeadAttention`,
  `${MS}:RemovePadding`,
  `${MS}:RestorePadding`,
]

/** Operators of which each token of the result depends on the same token of the inputs alone. */
const TOKENWISE = new Set([
  ...['Add', 'Sub', 'Mul', 'Div', 'MatMul', 'Relu', 'Tanh', 'Sigmoid', 'Erf', 'Gelu', 'Cast', 'Identity', 'Dropout'],
  ...['LayerNormalization', 'SimplifiedLayerNormalization', 'RMSNormalization'],
  ...['BiasGelu', 'FastGelu', 'QuickGelu', 'SkipLayerNormalization', 'SkipSimplifiedLayerNormalization'],
])

/**
 * Lets everything from the first attention on work on [tokens, hidden] without the padding, and puts the padding (as zeros) back
 * before whatever needs [batch, length, hidden]. Right where padding is at the end of each sequence; attention must have lengths
 * for a mask, all of them the same, and no past, causal mask or scores added.
 *
 * @returns how many nodes were changed or made, or why nothing was
 */
export function packTokens(model: Model, device: string): number | Failure {
  const { graph } = model
  const attentions = [...graph.nodes()].filter(isAttention)
  const [first] = attentions
  if (!first) return no('there is no fused attention')
  const can = legalityOf(device)
  const refused = PACKED_OPERATORS.find((op) => !can(op, model.opset, first.output().dtype))
  if (refused) return no(`${refused} has no kernel on ${device}`, first)
  const lengths = maskOf(first)
  for (const node of attentions) {
    const reason = whyNot(node, lengths)
    if (reason) return reason
  }
  model.useDomain(MS)
  return new Packing(graph, lengths!).run()
}

function isAttention(node: Node): boolean {
  return node.is('Attention', MS) || node.is('MultiHeadAttention', MS)
}

function maskOf(node: Node): Value | undefined {
  return node.input(node.opType === 'Attention' ? 3 : 4)
}

function whyNot(node: Node, lengths: Value | undefined): Failure | undefined {
  const mask = maskOf(node)
  if (!mask) return no('has no padding mask', node)
  if (mask !== lengths) return no('has another mask than the first attention', node)
  if (mask.producer && !mask.producer.is('ReduceSum')) return no('has a mask that is no length', node)
  if (node.int('unidirectional')) return no('is causal', node)
  const others = node.opType === 'Attention' ? [4, 5, 6] : [5, 6, 7]
  if (others.some((i) => node.input(i))) return no('has a past, or something added to its scores', node)
  if (node.opType === 'MultiHeadAttention' && [0, 1, 2].some((i) => node.input(i)?.rank !== 3))
    return no('has query, key and value that are not [batch, length, hidden]', node)
  const [query, key] = [node.input(0)?.shape, node.input(1)?.shape]
  if (node.opType === 'MultiHeadAttention' && !sameShape(query?.slice(0, 2), key?.slice(0, 2)))
    return no('is not attention of a sequence to itself', node)
  return undefined
}

class Packing {
  readonly #graph: Graph
  readonly #lengths: Value
  /** Values that became [tokens, hidden], with the shape they had. */
  readonly #packed = new Map<Value, readonly Dim[]>()
  readonly #restored = new Map<Value, Value>()
  readonly #removed = new Map<Value, Value>()
  #offsets: readonly Value[] | undefined
  #changes = 0

  constructor(graph: Graph, lengths: Value) {
    this.#graph = graph
    this.#lengths = lengths
  }

  run(): number {
    for (const node of [...this.#graph.nodes()]) {
      if (isAttention(node)) this.#attention(node)
      else if (this.#isTokenwise(node)) this.#tokenwise(node)
      else this.#leave(node)
    }
    for (const value of this.#packed.keys()) {
      if (!value.isOutput) continue
      const restored = this.#restore(value)
      const readers = [...value.uses]
      this.#graph.replace(value, restored)
      for (const { node, index } of readers) node.setInput(index, value)
    }
    return this.#changes
  }

  /** [tokens, hidden] of a value that is [batch, length, hidden]. */
  #pack(value: Value, before: Node): Value {
    if (this.#packed.has(value)) return value
    const known = this.#removed.get(value)
    if (known) return known
    const node = this.#graph.insert(
      {
        op: 'RemovePadding',
        domain: MS,
        inputs: [value, this.#lengths],
        outputs: ['tokens', 'token_offset', 'cumulative_sequence_length', 'max_sequence_length'],
        types: [tensorType(value.dtype, tokens(value.shape!)), ...[0, 0, 0].map(() => tensorType('int32', undefined))],
      },
      { before },
    )
    this.#changes++
    const [packed, ...rest] = node.outputs as Value[]
    this.#offsets ??= rest
    this.#removed.set(value, packed!)
    return packed!
  }

  #restore(packed: Value): Value {
    const known = this.#restored.get(packed)
    if (known) return known
    const node = this.#graph.insert(
      {
        op: 'RestorePadding',
        domain: MS,
        inputs: [packed, this.#offsets![0]!],
        types: [tensorType(packed.dtype, this.#packed.get(packed))],
      },
      { after: packed.producer! },
    )
    this.#changes++
    this.#restored.set(packed, node.output())
    return node.output()
  }

  #attention(node: Node): void {
    const isWhole = node.opType === 'Attention'
    const inputs = (isWhole ? [0] : [0, 1, 2]).map((i) => this.#pack(node.input(i)!, node))
    const [offset, cumulative] = this.#offsets!
    node.setInputs(
      isWhole
        ? [inputs[0]!, node.input(1)!, node.input(2) ?? null, offset!, cumulative!]
        : [...inputs, node.input(3) ?? null, offset!, cumulative!],
    )
    node.opType = `Packed${node.opType}`
    if (isWhole) node.attributes.delete('mask_filter_value')
    this.#becomePacked(node)
  }

  /** True if every input is packed, [batch, length, hidden] like the packed ones, or the same for all tokens; and at least one packed. */
  #isTokenwise(node: Node): boolean {
    if (!TOKENWISE.has(node.opType) || node.subgraphs.length) return false
    const packed = node.inputs.filter((value) => value && this.#packed.has(value)) as Value[]
    const [first] = packed
    if (!first) return false
    const shape = this.#packed.get(first)!
    return node.inputs.every((value, i) => {
      if (!value || this.#packed.has(value)) return true
      const constant = constantOf(value)
      if (constant) return constant.dims.length <= 1 || (node.is('MatMul') && i === 1 && constant.dims.length === 2)
      return value.rank === 3 && !node.is('MatMul') && sameShape(value.shape?.slice(0, 2), shape.slice(0, 2))
    })
  }

  #tokenwise(node: Node): void {
    node.inputs.forEach((value, i) => {
      if (value && !constantOf(value)) node.setInput(i, this.#pack(value, node))
    })
    if (node.attributes.has('axis')) node.attributes.set('axis', { kind: 'int', value: -1 })
    this.#becomePacked(node)
  }

  #becomePacked(node: Node): void {
    this.#changes++
    for (const output of node.outputs) {
      if (!output || output.isUnused) continue
      const shape = output.shape ?? [null, null, null]
      this.#packed.set(output, shape)
      output.type = tensorType(output.dtype, tokens(shape))
    }
  }

  /** A node that needs the padding, itself or in a subgraph. */
  #leave(node: Node): void {
    for (const value of [...this.#packed.keys()])
      for (const use of [...value.uses]) {
        if (use.node !== node && !isInside(use.node, node)) continue
        use.node.setInput(use.index, this.#restore(value))
      }
  }
}

function tokens(shape: readonly Dim[]): Dim[] {
  return [null, shape.at(-1) ?? null]
}

function isInside(inner: Node, outer: Node): boolean {
  for (let owner = inner.graph.owner; owner; owner = owner.graph.owner) if (owner === outer) return true
  return false
}
