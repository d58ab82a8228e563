import type { Node } from '../../graph/node.ts'
import type { Value } from '../../graph/value.ts'
import { type Dora, fixedOperand } from './dora.ts'
import { type Linear, linearOf } from './linear.ts'
import { numberBehind } from './quantized.ts'

/** A low-rank branch beside a product with a frozen weight: `base(x) + scale * (x A) B`. */
export interface Branch {
  /** `[inner, rank]` */
  a: Linear
  /** `[rank, outer]` */
  b: Linear
  /** Products with the scale of the layer. */
  scalings: Node[]
  /** The frozen product, where it was found. */
  base: Node | undefined
  /** Where computed values are quantized and dequantized again: in the ranges that this adapter needs, not another one. */
  roundings: Node[]
  dora?: Dora
}

/** Operators that hand a value on, at most in another float type or rounded. */
const PASSING = new Set(['Cast', 'Identity', 'Dropout'])
/** How far the frozen product may be from where the branch is added. */
export const REACH = 8

/** Finds the LoRA branches among nodes: by structure, or where that is not enough by the names that PEFT gives nodes. */
export function findBranches(nodes: Iterable<Node>): Branch[] {
  const branches: Branch[] = []
  for (const node of nodes) {
    const branch = branchAt(node)
    if (branch) branches.push(branch)
  }
  return branches
}

function branchAt(node: Node): Branch | undefined {
  const a = linearOf(node)
  if (!a || a.columns >= a.rows) return undefined
  const scalings: Node[] = []
  const roundings: Node[] = []
  let decomposed: { node: Node; factor: Value } | undefined
  const follow = (from: Value, canDecompose = false): { value: Value; user: Node } | undefined => {
    for (let value = from; ; ) {
      const user = value.onlyUser
      if (!user) return undefined
      const isScaling = isScalingOf(user, value)
      const wide = !isScaling && !decomposed && canDecompose ? fixedOperand(user) : undefined
      if (isScaling) scalings.push(user)
      else if (wide) decomposed = { node: user, factor: wide.fixed }
      else if (!isPassing(user)) return { value, user }
      else if (isRounding(user)) roundings.push(user)
      value = user.output()
    }
  }
  const inner = follow(node.output())
  const b = inner && linearOf(inner.user)
  if (!b || b.input !== inner.value || b.rows !== a.columns || b.rows >= b.columns) return undefined
  const outer = follow(b.node.output(), true)
  if (!outer?.user.is('Add')) return undefined
  const other = outer.user.inputs.find((value) => value !== outer.value)
  if (decomposed) return decomposedBranch({ a, b, scalings, roundings, base: undefined }, decomposed, outer.user, other)
  const base = other ? frozenProduct(other, sourceOf(a.input), REACH) : undefined
  const named = /(?:^|[./])(?:default(?:_0)?|lora_A)[./]/.test(a.node.name)
  return base || named ? { a, b, scalings, roundings, base } : undefined
}

/** A branch whose result is multiplied by a vector, if the base's is too as DoRA does it. `sum` adds `other` to the branch. */
function decomposedBranch(
  branch: Branch,
  { node, factor }: { node: Node; factor: Value },
  sum: Node,
  other: Value | null | undefined,
): Branch | undefined {
  const roundings = [...branch.roundings]
  const product = other && producerOf(other, roundings)
  const scaled = product ? fixedOperand(product) : undefined
  const { value, user: outer } = readerOf(sum.output(), roundings)
  const result = outer?.is('Add') ? outer.inputs.find((one) => one !== value) : undefined
  if (!product || !scaled || !result) return undefined
  const source = sourceOf(branch.a.input)
  const base = frozenProduct(result, source, REACH)
  if (!base || !frozenProduct(scaled.other, source, REACH)) return undefined
  return { ...branch, base, roundings, dora: { branch: node, base: product, factor, shifted: scaled.fixed } }
}

/** Whether `node` multiplies `value` by one constant number, or divides it. */
export function isScalingOf(node: Node, value: Value): boolean {
  if (!node.is('Mul') && !node.is('Div')) return false
  const [first, second] = node.inputs
  if (first === second) return false
  const factor = first === value ? second : node.is('Mul') ? first : undefined
  return factor ? numberBehind(factor) !== undefined : false
}

/** True for operators that hand a value on. */
export function isPassing(node: Node): boolean {
  return (PASSING.has(node.opType) && node.domain === '') || isRounding(node)
}

/** True for quantization of computed values, and the way back. */
export function isRounding({ opType, inputs }: Node): boolean {
  return (opType === 'QuantizeLinear' || opType === 'DequantizeLinear') && !inputs[0]?.constant
}

/** What computes a value that is handed on to a single reader, and is read nowhere on the way. */
export function producerOf(value: Value, roundings: Node[]): Node | undefined {
  for (let one = value; one.onlyUser; ) {
    const { producer } = one
    if (!producer || !isPassing(producer)) return producer
    if (isRounding(producer)) roundings.push(producer)
    one = producer.input(0)!
  }
  return undefined
}

/** The only node that reads a value, behind operators that hand it on, and the value as it reads it. */
export function readerOf(from: Value, roundings: Node[]): { value: Value; user: Node | undefined } {
  for (let value = from; ; ) {
    const user = value.onlyUser
    if (!user || !isPassing(user)) return { value, user }
    if (isRounding(user)) roundings.push(user)
    value = user.output()
  }
}

/** Where a value comes from, before operators that only hand it on. */
export function sourceOf(value: Value): Value {
  for (let source = value; ; ) {
    const { producer } = source
    const before = producer && isPassing(producer) ? producer.input(0) : undefined
    if (!before) return source
    source = before
  }
}

/** The product with a frozen weight that multiplies `input` and whose result, or bias and other branches added, is `value`. */
export function frozenProduct(value: Value, input: Value, reach: number): Node | undefined {
  const { producer } = sourceOf(value)
  if (!producer || reach === 0) return undefined
  if (producer.is('Add')) {
    for (const term of producer.inputs) {
      const found = term && !term.constant ? frozenProduct(term, input, reach - 1) : undefined
      if (found) return found
    }
    return undefined
  }
  // The bias, taken off again.
  if (producer.is('Sub') && isFrozen(producer.input(1)!)) return frozenProduct(producer.input(0)!, input, reach - 1)
  const isProduct = ['MatMul', 'Gemm', 'MatMulNBits', 'MatMulBnb4'].includes(producer.opType)
  const [first, weight] = producer.inputs
  return isProduct && first && sourceOf(first) === input && weight && isFrozen(weight) ? producer : undefined
}

function isFrozen(weight: Value): boolean {
  const { producer } = weight
  if (weight.constant) return true
  return producer?.opType === 'DequantizeLinear' || producer?.is('Transpose') ? isFrozen(producer.input(0)!) : false
}
