import { withFloats } from '../../../graph/float-data.ts'
import type { Node } from '../../../graph/node.ts'
import { Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import { meanSquares, minMaxPerChannel } from '../../../kernels/index.ts'
import { balancing } from '../balance/products.ts'
import { attentionBlocker } from '../q-attention.ts'
import { findWeight, type Weight } from '../weight.ts'
import { contractionLayout } from '../weight-cache.ts'
import { findNorm, type Norm } from './norms.ts'

/** Factors for the contraction axis of a node's weight. `id` is the same for nodes that share them. */
export interface Factors {
  id: string
  values: Float32Array
}

/** What was seen of the results of norms on data. */
export interface Measured {
  /** Largest magnitude by channel. */
  reach: ReadonlyMap<Value, Float32Array>
  /** How much of the differences between channels goes into the weights, 0..1. */
  alpha: number
}

/** Channels reach this many deviations, for a guess at their range before any data is seen. */
const DEVIATIONS = 3
/** A norm whose widest channel is less than this wider than the typical one is left alone. */
const WORTHWHILE = 1.5
/** No channel counts as narrower than this fraction of the typical one. */
const NARROWEST = 0.05

/**
 * Moves the differences between the channels of a normalization from activations into weights, so that one scale fits all channels
 * better: gamma and beta are divided by a factor per channel and the weights that read the result are multiplied by it. As in
 * SmoothQuant the factor balances both sides, but it is known without data: a channel of a norm reaches |beta| + 3 |gamma|, and
 * the factor is that over the root of the weights' magnitude. Other readers get the old value back by a Mul.
 *
 * @param candidates nodes that will be quantized if their weight can be
 * @param isFixed true for weights that must be quantized as they are
 * @param leftovers gets the values that may have no reader any more
 * @param measured what norms give on data, instead of the guess
 * @returns factors by node
 */
export function smoothNorms(
  candidates: readonly Node[],
  isFixed: (root: Value) => boolean,
  leftovers: Set<Value>,
  measured?: Measured,
): Map<Node, Factors> {
  const readers = new Map<Value, { node: Node; weight: Weight; transposed: boolean }[]>()
  for (const node of candidates) {
    const input = node.input(0)
    const product = input && productOf(node)
    if (!product || isFixed(product.weight.root)) continue
    const list = readers.get(input) ?? []
    list.push({ node, ...product })
    readers.set(input, list)
  }
  const factors = new Map<Node, Factors>()
  for (const [value, group] of readers) {
    const norm = value.producer?.graph === value.graph ? findNorm(value) : undefined
    const nodes = new Set(group.map(({ node }) => node))
    const own = group.filter(
      ({ weight, node, transposed }) =>
        node.graph === value.graph &&
        weight.root.users.every((user) => nodes.has(user)) &&
        !weight.root.isOutput &&
        weight.tensor.dims.at(transposed ? 1 : 0) === norm?.channels,
    )
    if (!norm || !own.length) continue
    const values = measured ? measuredFactors(value, own, measured) : factorsOf(norm, own)
    if (!values) continue
    const shared: Factors = { id: value.name, values }
    for (const { node } of own) factors.set(node, shared)
    rescale(norm, value, values, new Set(own.map(({ node }) => node)))
    for (const part of [norm.gamma, norm.beta]) if (part) leftovers.add(part.value)
  }
  return factors
}

/** The constant float32 matrix that a node multiplies its first input by. */
function productOf(node: Node): { weight: Weight; transposed: boolean } | undefined {
  const isGemm = node.is('Gemm')
  const isAttention = node.is('Attention', 'com.microsoft')
  if (!isGemm && !isAttention && !node.is('MatMul')) return undefined
  if (isAttention && attentionBlocker(node)) return undefined
  if (isGemm && node.int('transA', 0) !== 0) return undefined
  const value = node.input(1)
  const weight = findWeight(value)
  // A weight behind other nodes may have readers there.
  if (!weight || weight.root !== value || weight.tensor.dtype !== 'float32' || weight.tensor.dims.length !== 2)
    return undefined
  if (weight.tensor.elementCount === 0) return undefined
  return { weight, transposed: isGemm && node.int('transB', 0) !== 0 }
}

function measuredFactors(
  value: Value,
  group: readonly { weight: Weight; transposed: boolean }[],
  { reach, alpha }: Measured,
): Float32Array | undefined {
  const seen = reach.get(value)
  if (!seen) return undefined
  const largest = new Float32Array(seen.length)
  for (const { weight, transposed } of group) {
    const layout = contractionLayout(weight.tensor.dims, transposed ? 'columns' : 'rows')
    const { min, max } = withFloats(weight.tensor, (data) => minMaxPerChannel(data, layout))
    for (let i = 0; i < largest.length; i++) largest[i] = Math.max(largest[i]!, max[i]!, -min[i]!)
  }
  const factors = balancing(seen, largest, alpha)
  return factors.every(Number.isFinite) ? Float32Array.from(factors) : undefined
}

function factorsOf(norm: Norm, group: readonly { weight: Weight; transposed: boolean }[]): Float32Array | undefined {
  const gamma = norm.gamma.value.constant!.toNumbers()
  const beta = norm.beta?.value.constant?.toNumbers()
  const reach = gamma.map((scale, i) => DEVIATIONS * Math.abs(scale) + Math.abs(beta?.[i] ?? 0))
  const typical = median(reach)
  if (!(typical > 0) || Math.max(...reach) < WORTHWHILE * typical) return undefined
  const squares = new Float64Array(norm.channels)
  for (const { weight, transposed } of group) {
    const layout = contractionLayout(weight.tensor.dims, transposed ? 'columns' : 'rows')
    const mean = withFloats(weight.tensor, (data) => meanSquares(data, layout))
    for (let i = 0; i < squares.length; i++) squares[i]! += mean[i]! / group.length
  }
  const magnitude = Array.from(squares, Math.sqrt)
  const floor = NARROWEST * median(magnitude)
  if (!(floor > 0) || magnitude.some((value) => !Number.isFinite(value))) return undefined
  const raw = reach.map((value, i) => Math.max(value, NARROWEST * typical) / Math.sqrt(Math.max(magnitude[i]!, floor)))
  const center = Math.exp(raw.reduce((sum, value) => sum + Math.log(value), 0) / raw.length)
  return Float32Array.from(raw, (value) => value / center)
}

function median(values: readonly number[]): number {
  return Float64Array.from(values).sort()[values.length >> 1]!
}

/** Divides what the norm gives by the factors, and multiplies it again for everybody but `readers`. */
function rescale(norm: Norm, value: Value, factors: Float32Array, readers: ReadonlySet<Node>): void {
  const { graph } = value
  for (const part of [norm.gamma, norm.beta]) {
    if (!part) continue
    const tensor = part.value.constant!
    const divided = Float32Array.from(tensor.float32(), (x, i) => x / factors[i]!)
    const fresh = part.value.graph.addInitializer(`${part.value.name}_smoothed`, Tensor.float32(tensor.dims, divided))
    part.node.setInput(part.index, fresh)
  }
  const uses = [...value.uses]
  if (!value.isOutput && uses.every(({ node, index }) => readers.has(node) && index === 0)) return
  const scale = graph.addInitializer(`${value.name}_smoothing`, Tensor.float32([factors.length], factors))
  const restored = graph.insert(
    {
      op: 'Mul',
      name: `${value.name}_unsmooth`,
      inputs: [value, scale],
      outputs: [`${value.name}_unsmoothed`],
      types: [value.type],
    },
    { after: norm.last },
  )
  graph.replace(value, restored.output())
  restored.setInput(0, value)
  for (const { node, index } of uses) if (readers.has(node) && index === 0) node.setInput(index, value)
}
