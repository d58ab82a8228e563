import type { Node } from '../../graph/node.ts'
import { frozenProduct, isPassing, isRounding, isScalingOf, producerOf, REACH, readerOf, sourceOf } from './find.ts'
import { linearOf } from './linear.ts'
import { type BranchName, namePath, nameWeight } from './names.ts'
import { plainName, quantizedSource } from './quantized.ts'

/** Names of the factors, as PEFT calls them, and which axis of each is the rank. */
export const HADA = [
  ['hada_w1_a', 1],
  ['hada_w1_b', 0],
  ['hada_w2_a', 1],
  ['hada_w2_b', 0],
] as const

/** A LoHa layer beside a product with a frozen weight: `base(x) + x ((w1_a w1_b) * (w2_a w2_b) * scale)'`. */
export interface Hada extends BranchName {
  /** The products of w1 and of w2; each has `[outer, rank]` and `[rank, inner]`. */
  products: [Node, Node]
  /** Products with the scale of the layer. */
  scalings: Node[]
  roundings: Node[]
}

/** Finds the LoHa layers among nodes: the elementwise product of two products of constants, as the weight of a branch. */
export function findHada(nodes: Iterable<Node>): Hada[] {
  const layers: Hada[] = []
  for (const node of nodes) {
    const layer = hadaAt(node, layers.length)
    if (layer) layers.push(layer)
  }
  return layers
}

function hadaAt(node: Node, index: number): Hada | undefined {
  if (!node.is('Mul')) return undefined
  const roundings: Node[] = []
  const [first, second] = node.inputs.map((value) => value && factored(producerOf(value, roundings)))
  if (!first || !second || first.dims.join() !== second.dims.join()) return undefined
  const scalings: Node[] = []
  let value = node.output()
  let user = value.onlyUser
  for (; user; value = user.output(), user = value.onlyUser) {
    if (isScalingOf(user, value)) scalings.push(user)
    else if (isRounding(user)) roundings.push(user)
    else if (!isPassing(user) && !user.is('Transpose') && !(user.is('Reshape') && user.input(0) === value)) break
  }
  const isProduct = user?.is('MatMul') || (user?.is('Gemm') && !user.input(2))
  if (!user || !isProduct || user.input(1) !== value) return undefined
  const source = sourceOf(user.input(0)!)
  const { value: result, user: sum } = readerOf(user.output(), roundings)
  const other = sum?.is('Add') ? sum.inputs.find((one) => one !== result) : undefined
  const base = other ? frozenProduct(other, source, REACH) : undefined
  if (!base) return undefined
  const name = nameWeight(first.name, 'hada_w1_a') ??
    namePath(base.name) ?? { layer: `loha.${index}`, adapter: 'default' }
  return { ...name, products: [first.node, second.node], scalings, roundings }
}

/** A product of two constant matrices: `[outer, inner]` and the rank, and the name of the first. Either may be quantized. */
function factored(node: Node | undefined): { node: Node; dims: readonly number[]; name: string } | undefined {
  const left = node?.input(0)
  const linear = node && linearOf(node)
  const source = left && quantizedSource(left)
  const dims = source?.constant?.dims
  if (!linear || linear.isTransposed || linear.alpha !== 1 || !source || dims?.length !== 2) return undefined
  if (dims[1] !== linear.rows) return undefined
  return { node: linear.node, dims: [dims[0]!, linear.columns, linear.rows], name: plainName(source.name) }
}
