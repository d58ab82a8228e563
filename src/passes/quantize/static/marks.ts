import type { Node } from '../../../graph/node.ts'
import type { Value } from '../../../graph/value.ts'
import { isReachable } from '../../../measure/bodies.ts'
import { findWeight, type Weight } from '../weight.ts'
import { isQuantizable } from './settings.ts'

/** How a constant that a node reads is to be quantized. */
export type ConstantMark =
  | { kind: 'weight'; weight: Weight; axis: number | undefined; product: boolean }
  /** With the type of activations. */
  | { kind: 'operand'; weight: Weight }
  /** int32 in the scale of a product of the node's first two inputs. */
  | { kind: 'bias'; weight: Weight; beta: number }

/** What operators want quantized. Activations are marked by tensor, constants by the input that reads them. */
export class Marks {
  /** Activations; those that take scale and zero point of another one map to it. */
  readonly activations: Map<Value, Value | undefined> = new Map()
  readonly constants: Map<Node, Map<number, ConstantMark>> = new Map()
  /** Nodes that are quantized. */
  readonly nodes: Set<Node> = new Set()
  readonly #float: (value: Value) => boolean
  readonly #wide: ReadonlySet<Value>

  /**
   * @param float tensors that must stay float
   * @param wide tensors that only products may read quantized
   */
  constructor(float: (value: Value) => boolean, wide: ReadonlySet<Value> = new Set()) {
    this.#float = float
    this.#wide = wide
  }

  /** True if a node reads or gives a tensor that only products may read quantized. */
  touchesWide(node: Node): boolean {
    return [...node.inputs, ...node.outputs].some((value) => value && this.#wide.has(value))
  }

  isWide(value: Value): boolean {
    return this.#wide.has(value)
  }

  /** True if the value is a float activation that may be quantized. */
  isCandidate(value: Value | undefined): value is Value {
    return (
      value !== undefined &&
      !value.constant &&
      isQuantizable(value.dtype) &&
      isReachable(value) &&
      !this.#float(value) &&
      !decidesSizes(value) &&
      !(value.producer?.is('DequantizeLinear') ?? false)
    )
  }

  has(value: Value | undefined): boolean {
    return value !== undefined && this.activations.has(value)
  }

  /** The activation whose parameters a value has: its own, or those of what it shares with. */
  rootOf(value: Value): Value {
    let root = value
    const seen = new Set<Value>()
    for (let next = this.activations.get(root); next && !seen.has(next); next = this.activations.get(root)) {
      seen.add(root)
      root = next
    }
    return root
  }

  /** Marks an activation. With a provider it shares the provider's parameters, unless it has parameters of its own already. */
  activation(value: Value | undefined, provider?: Value): boolean {
    if (!this.isCandidate(value)) return false
    const known = this.activations.get(value)
    if (!this.activations.has(value) || (provider === undefined && known === undefined)) {
      this.activations.set(value, provider)
    }
    return true
  }

  /** Marks whatever a node reads at `index`: a constant as operand, anything else as activation. */
  input(node: Node, index: number): boolean {
    const value = node.input(index)
    const weight = constantOf(value)
    if (!weight) return this.activation(value)
    return this.constant(node, index, { kind: 'operand', weight })
  }

  constant(node: Node, index: number, mark: ConstantMark): boolean {
    const { weight } = mark
    if (!isQuantizable(weight.dtype) || weight.tensor.elementCount === 0) return false
    if (this.#float(weight.root) || (mark.kind !== 'bias' && weight.transposed)) return false
    const marks = this.constants.get(node) ?? new Map<number, ConstantMark>()
    marks.set(index, mark)
    this.constants.set(node, marks)
    return true
  }

  /** Takes a node's marks of constants back. */
  forget(node: Node): void {
    this.constants.delete(node)
    this.nodes.delete(node)
  }
}

/** Numbers that say how large a tensor becomes, by operator and first input: these must be exact. */
const SIZES: Readonly<Record<string, number>> = { Range: 0, Resize: 1, Upsample: 1 }

function decidesSizes(value: Value): boolean {
  for (const { node, index } of value.uses) {
    const first = node.domain === '' && Object.hasOwn(SIZES, node.opType) ? SIZES[node.opType]! : undefined
    if (first !== undefined && index >= first) return true
  }
  return false
}

/** The constant float tensor that a value is. */
export function constantOf(value: Value | undefined): Weight | undefined {
  const weight = findWeight(value)
  return weight && isQuantizable(weight.dtype) ? weight : undefined
}
