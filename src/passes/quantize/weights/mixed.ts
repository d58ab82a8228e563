import type { Node } from '../../../graph/node.ts'
import type { Value } from '../../../graph/value.ts'
import { findMatrix } from './tools.ts'

/** What a weight costs more with 8 bits than with 4. */
const EXTRA_BITS = 4
/** What scales of half the size save per weight with blocks of 32, less the zero points: 16 bits of 32, less 4. */
const SAVED_BITS_PER_BLOCK = 12

interface Candidate {
  root: Value
  elements: number
}

/**
 * Chooses the weights that get 8 bits instead of 4, for as many bytes as float16 scales save: the file is no larger than one
 * with float32 scales and no zero points.
 *
 * Nothing is known of the data here, so the order follows from the graph: first the products that give attention its values
 * (an error there goes straight into the result, while one in queries and keys is dampened by Softmax), the later the
 * sooner, as fewer layers follow that could absorb it; with those of the last attention also the product after it; then
 * all others from the end.
 *
 * @param products nodes to be quantized that multiply by a matrix
 * @param totalElements weights of all nodes to be quantized, tables too
 * @param isFixed true for weights that must keep 4 bits
 */
export function chooseSensitive(
  products: readonly Node[],
  totalElements: number,
  blockSize: number,
  isFixed: (root: Value) => boolean,
): Set<Value> {
  const candidates = new Map<Node, Candidate>()
  for (const node of products) {
    const matrix = findMatrix(node.input(1), node.is('Gemm') && node.int('transB', 0) !== 0)
    if (!matrix || typeof matrix === 'string' || isFixed(matrix.weight.root)) continue
    candidates.set(node, { root: matrix.weight.root, elements: matrix.length * matrix.columns })
  }
  const { values, last } = aroundAttention(candidates)
  const fromTheEnd = [...candidates.keys()].reverse()
  let budget = (totalElements / blockSize) * SAVED_BITS_PER_BLOCK
  const chosen = new Set<Value>()
  for (const group of [last, fromTheEnd.filter((node) => values.has(node)), fromTheEnd])
    for (const node of group) {
      const { root, elements } = candidates.get(node)!
      const cost = elements * EXTRA_BITS
      if (chosen.has(root) || cost > budget) continue
      chosen.add(root)
      budget -= cost
    }
  return chosen
}

/** Operators that pass values on from a product to attention. */
const CARRIERS = new Set([
  'Add',
  'Cast',
  'Concat',
  'Expand',
  'Identity',
  'Reshape',
  'Squeeze',
  'Transpose',
  'Unsqueeze',
])
/** Where fused attention takes its values. */
const VALUE_INPUT: Readonly<Record<string, number>> = { MultiHeadAttention: 2, GroupQueryAttention: 2, Attention: 2 }

/** Products whose result attention weights and sums up; and of the last attention these and the products that read its result. */
function aroundAttention(candidates: ReadonlyMap<Node, Candidate>): { values: Set<Node>; last: Node[] } {
  const values = new Set<Node>()
  let last: Node[] = []
  const [some] = candidates.keys()
  for (const node of some?.graph.model.graph.allNodes() ?? []) {
    const index = node.is('MatMul') && isProbability(node.input(0)) ? 1 : VALUE_INPUT[node.opType]
    const value = index === undefined ? undefined : node.input(index)
    if (!value) continue
    const own = [...productsBehind(value, candidates)]
    for (const product of own) values.add(product)
    const around = [...own, ...productsAfter(node.output(), candidates)]
    if (around.length) last = around
  }
  return { values, last }
}

function isProbability(value: Value | undefined): boolean {
  let node = value?.producer
  for (let steps = 0; node && steps < 4; steps++) {
    if (node.is('Softmax')) return true
    if (!['Cast', 'Dropout', 'Identity', 'Reshape'].includes(node.opType)) return false
    node = node.input(0)?.producer
  }
  return false
}

function* productsBehind(value: Value, candidates: ReadonlyMap<Node, Candidate>, depth = 0): Generator<Node> {
  const node = value.producer
  if (!node || depth > 12) return
  if (candidates.has(node)) yield node
  else if (CARRIERS.has(node.opType))
    for (const input of node.inputs) if (input && !input.constant) yield* productsBehind(input, candidates, depth + 1)
}

function* productsAfter(value: Value, candidates: ReadonlyMap<Node, Candidate>, depth = 0): Generator<Node> {
  for (const node of value.users) {
    if (candidates.has(node)) yield node
    else if (CARRIERS.has(node.opType) && depth < 6) yield* productsAfter(node.output(), candidates, depth + 1)
  }
}
