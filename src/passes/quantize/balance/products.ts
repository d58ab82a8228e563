import { withFloats } from '../../../graph/float-data.ts'
import type { Node } from '../../../graph/node.ts'
import { Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import { type ChannelLayout, channelLayout, minMaxPerChannel, toFloat32 } from '../../../kernels/index.ts'

/** A product with a constant float32 weight that nothing else reads. */
export interface Product {
  node: Node
  weight: Value
  /** The elements of the weight by channel of the input, and of the result. */
  inputs: ChannelLayout
  outputs: ChannelLayout
  /** Axis of the channels in what goes in and comes out. */
  axis: number
}

export function productOf(node: Node): Product | undefined {
  const weight = node.input(1)
  const tensor = weight?.constant
  if (!weight || tensor?.dtype !== 'float32' || weight.users.length !== 1 || weight.isOutput || weight.producer)
    return undefined
  const { dims } = tensor
  const of = (input: number, output: number, axis: number): Product => ({
    node,
    weight,
    inputs: channelLayout(dims, input),
    outputs: channelLayout(dims, output),
    axis,
  })
  if (node.is('MatMul')) return dims.length === 2 ? of(0, 1, -1) : undefined
  if (node.is('Gemm')) {
    if (dims.length !== 2 || node.int('transA', 0) !== 0) return undefined
    return node.int('transB', 0) ? of(1, 0, -1) : of(0, 1, -1)
  }
  if (!node.is('Conv') || dims.length < 3) return undefined
  const group = node.int('group', 1)
  if (group === 1) return of(1, 0, 1)
  // One filter per channel: the input's channels are the result's.
  return dims[1] === 1 && dims[0] === group ? of(0, 0, 1) : undefined
}

/** Largest magnitudes of the channels. */
export function reachOf(weight: Value, layout: ChannelLayout): Float32Array {
  const { min, max } = withFloats(weight.constant!, (data) => minMaxPerChannel(data, layout))
  return Float32Array.from(max, (value, i) => Math.max(value, -min[i]!))
}

export function floatsOf(value: Value): Float32Array {
  return withFloats(value.constant!, (data) => toFloat32(data))
}

/** Puts another constant of the same shape in a constant's place for one reader. */
export function replaceConstant(node: Node, index: number, values: Float32Array, dims?: readonly number[]): void {
  const old = node.input(index)!
  const { name } = old
  const fresh = old.graph.addInitializer(`${name}_balanced`, Tensor.float32(dims ?? old.constant!.dims, values))
  node.setInput(index, fresh)
  if (!old.isUnused || old.isOutput || !old.tensor || old.isInput) return
  old.graph.removeInitializer(old)
  // Settings by tensor find it under the old name.
  fresh.name = name
}

/** The weight with the channels of `layout` multiplied by factors. */
export function scaled(
  weight: Value,
  { channels, inner }: ChannelLayout,
  factorOf: (channel: number) => number,
): Float32Array {
  const values = floatsOf(weight).slice()
  for (let i = 0; i < values.length; i++) values[i]! *= factorOf(Math.floor(i / inner) % channels)
  return values
}

/**
 * The factor of every channel that leaves an activation and its weight with the same differences between channels (`alpha` 0.5), or moves
 * more (1: all) of the activation's into the weight: `reach^alpha / weight^(1 - alpha)`, around 1. Channels that are always 0 get 1.
 */
export function balancing(activation: ArrayLike<number>, weight: ArrayLike<number>, alpha: number): Float64Array {
  const raw = Float64Array.from({ length: weight.length }, (_, i) => {
    const factor = activation[i]! ** alpha / weight[i]! ** (1 - alpha)
    return activation[i]! > 0 && weight[i]! > 0 && Number.isFinite(factor) ? factor : 0
  })
  const used = raw.filter((factor) => factor > 0)
  const center = Math.exp(used.reduce((sum, factor) => sum + Math.log(factor), 0) / (used.length || 1))
  return raw.map((factor) => (factor > 0 ? factor / center : 1))
}
