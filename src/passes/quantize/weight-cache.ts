import { holdsFloats, withFloats } from '../../graph/float-data.ts'
import { elementsIn, Tensor } from '../../graph/tensor.ts'
import type { Value } from '../../graph/value.ts'
import {
  type ChannelLayout,
  type ChannelScales,
  channelLayout,
  type FloatInput,
  minMaxPerChannel,
  pairAbsMax,
  permute,
  quantizePerChannel,
  reread,
  scaleZeroPoints,
  withFactors,
} from '../../kernels/index.ts'
import { ComputedBytes } from '../../onnx/bytes.ts'

/**
 * Which codes a weight may use. `safe`: as many as keep sums of two neighbouring products with unsigned 8-bit activations
 * within 16 bits, so that no kernel saturates; `reduced`: 7 bits, the usual way to the same end.
 */
export type CodeRange = 'full' | 'reduced' | 'safe'

/** How to quantize a weight. */
export interface WeightRequest {
  type: 'int8' | 'uint8'
  symmetric: boolean
  range: CodeRange
  /** The axis of the stored tensor that has a scale for each of its channels; undefined: one scale for all. */
  axis: number | undefined
  /** How many axes from `axis` on have a scale for each of their elements together. Default 1. */
  span?: 1 | 2 | undefined
  /** For the range `safe`: products sum over the axis before the last (`rows`, the default) or over the last one (`columns`). */
  contraction?: 'rows' | 'columns' | undefined
  /** Store the matrix, or each of the stacked matrices, transposed. */
  transposed?: boolean | undefined
  /** Multiply the elements along the contraction axis of a matrix by these factors first. `id` tells sets of factors apart. */
  factors?: { id: string; values: Float32Array } | undefined
}

/** A quantized weight: initializers in the graph of the float one. */
export interface QuantizedWeight {
  data: Value
  /** float32; a scalar, or one element per channel. */
  scale: Value
  /** Of the data's type; a scalar, or one element per channel where they differ. */
  zeroPoint: Value
  scales: ChannelScales
}

/**
 * Quantized weights of a model, each made once: two nodes that ask for the same weight in the same way share initializers. The codes
 * of weights of moderate size are computed at once, while the weight is in memory; all others when the model is written, so
 * that they take no memory before.
 */
export class WeightCache {
  readonly #entries = new Map<Value, Map<string, QuantizedWeight | string>>()
  readonly #derived = new Map<string, Value>()
  #kept = 0
  /** Zero points of which there is a form with one for each scale: the short form may have no reader left. */
  readonly spread: Set<Value> = new Set<Value>()

  /** The quantized form of the initializer or constant `root`, or the reason why it must stay float. */
  get(root: Value, request: WeightRequest): QuantizedWeight | string {
    const entries = this.#entries.get(root) ?? new Map<string, QuantizedWeight | string>()
    this.#entries.set(root, entries)
    const key = JSON.stringify({ ...request, factors: request.factors?.id })
    let entry = entries.get(key)
    if (entry === undefined) {
      const { elementCount = 0 } = root.constant ?? {}
      const keep = elementCount < SMALL || (elementCount < MODERATE && this.#kept + elementCount <= MOST_KEPT)
      if (keep) this.#kept += elementCount
      entry = make(root, request, keep)
      entries.set(key, entry)
    }
    return entry
  }

  /** Another constant made from a weight's parameters, e.g. the scale in another shape; made once per `key`. */
  derive(from: Value, key: string, make: () => Tensor): Value {
    const id = `${from.name}\u0000${key}`
    const known = this.#derived.get(id)
    if (known) return known
    const value = from.graph.addInitializer(`${from.name}_${key}`, make())
    this.#derived.set(id, value)
    return value
  }

  /** The zero points of a weight in the shape of its scales, also where all are equal. */
  zeroPoints({ zeroPoint, scale, scales }: QuantizedWeight): Value {
    const dims = scale.tensor!.dims
    if (dims.length === zeroPoint.tensor!.dims.length) return zeroPoint
    this.spread.add(zeroPoint)
    return this.derive(zeroPoint, 'per_channel', () =>
      Tensor.from(zeroPoint.tensor!.dtype!, dims, [...scales.zeroPoints]),
    )
  }
}

function make(root: Value, request: WeightRequest, keep: boolean): QuantizedWeight | string {
  const tensor = root.constant
  if (!tensor || !holdsFloats(tensor)) return 'its weight is no float tensor'
  if (tensor.elementCount === 0) return 'its weight has no elements'
  const { type, symmetric, range } = request
  const count = tensor.elementCount
  const { layout, perChannel } = channelsOf(tensor.dims, request)
  const { factors } = request
  const along = contractionLayout(tensor.dims, request.contraction)
  const read = <T>(use: (data: FloatInput) => T): T =>
    withFloats(tensor, (data) => use(factors ? withFactors(data, along, factors.values) : data))
  const scalesOf = (data: FloatInput): ChannelScales | string => {
    const { min, max, nan, infinite } = minMaxPerChannel(data, layout)
    if (nan + infinite > 0) return 'its weight has values that are not finite'
    const safe = range === 'safe' && type === 'int8'
    if (safe && symmetric) {
      const pairs = largestPairs(data, tensor.dims, request.contraction ?? 'rows', layout)
      for (let i = 0; i < max.length; i++) {
        max[i] = Math.max(max[i]!, -min[i]!, pairs[i]!)
        min[i] = -max[i]!
      }
    }
    const reduceRange = range === 'reduced' || (safe && !symmetric)
    return scaleZeroPoints(min, max, { type, symmetric, reduceRange })
  }
  const codesOf = (data: FloatInput, scales: ChannelScales): Uint8Array => {
    const codes = quantizePerChannel(data, layout, type, scales)
    return request.transposed ? permute(codes, tensor.dims, swapped(tensor.dims.length), 1) : codes
  }
  const made = read((data) =>
    reread(data, (data) => {
      const scales = scalesOf(data)
      return typeof scales === 'string' ? scales : { scales, codes: keep ? codesOf(data, scales) : undefined }
    }),
  )
  if (typeof made === 'string') return made
  const { scales } = made
  const dims = request.transposed
    ? [...tensor.dims.slice(0, -2), tensor.dims.at(-1)!, tensor.dims.at(-2)!]
    : tensor.dims
  const data = made.codes ?? new ComputedBytes(count, () => read((data) => codesOf(data, scales)))
  const { graph, name } = root
  const zeroPoints = [...scales.zeroPoints]
  const uniform = zeroPoints.every((zeroPoint) => zeroPoint === zeroPoints[0])
  return {
    data: graph.addInitializer(`${name}_quantized`, Tensor.of(type, dims, data)),
    scale: graph.addInitializer(`${name}_scale`, Tensor.float32(perChannel, scales.scales)),
    zeroPoint: graph.addInitializer(
      `${name}_zero_point`,
      uniform ? Tensor.from(type, [], [zeroPoints[0]!]) : Tensor.from(type, perChannel, zeroPoints),
    ),
    scales,
  }
}

/** The permutation that swaps the last two of `rank` axes. */
function swapped(rank: number): number[] {
  const axes = Array.from({ length: rank }, (_, i) => i)
  return [...axes.slice(0, -2), rank - 1, rank - 2]
}

/** Weights below this many elements are always quantized at once, and those below the second number as long as the third is kept. */
const SMALL = 4096
const MODERATE = 1 << 22
const MOST_KEPT = 1 << 27

/** The elements of a matrix by their place along the axis that products sum over. */
export function contractionLayout(dims: readonly number[], contraction: 'rows' | 'columns' | undefined): ChannelLayout {
  return channelLayout(dims, contraction === 'columns' || dims.length < 2 ? -1 : -2)
}

/** Which elements share a scale, and the shape of the scales. */
function channelsOf(
  dims: readonly number[],
  { axis, span = 1 }: WeightRequest,
): { layout: ChannelLayout; perChannel: readonly number[] } {
  if (axis === undefined) return { layout: { outer: 1, channels: 1, inner: elementsIn(dims) }, perChannel: [] }
  const from = axis < 0 ? axis + dims.length : axis
  const perChannel = dims.slice(from, from + span)
  const merged = [...dims.slice(0, from), elementsIn(perChannel), ...dims.slice(from + span)]
  return { layout: channelLayout(merged, from), perChannel }
}

/** The largest pair sums of the channels of `layout`. */
function largestPairs(
  data: FloatInput,
  dims: readonly number[],
  contraction: 'rows' | 'columns',
  layout: ChannelLayout,
): Float32Array {
  const last = dims.at(-1)!
  const pairs =
    contraction === 'rows'
      ? pairAbsMax(data, channelLayout(dims, -1), dims.at(-2) ?? 1)
      : pairAbsMax(data, { outer: 1, channels: elementsIn(dims) / last, inner: last }, last)
  if (layout.channels === pairs.length) return pairs
  const merged = new Float32Array(layout.channels)
  const group = pairs.length / layout.channels
  pairs.forEach((pair, i) => {
    const channel = Math.floor(i / group)
    merged[channel] = Math.max(merged[channel]!, pair)
  })
  return merged
}
