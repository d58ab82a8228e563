import { elementsIn, Tensor } from '../../graph/tensor.ts'
import type { Value } from '../../graph/value.ts'
import {
  type ChannelLayout,
  type ChannelScales,
  channelLayout,
  minMaxPerChannel,
  pairAbsMax,
  quantizePerChannel,
  scaleZeroPoints,
} from '../../kernels/index.ts'
import { ComputedBytes } from '../../onnx/bytes.ts'
import { holdsFloats, withFloats } from './float-data.ts'

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
  /** Axis of the stored tensor that products sum over: the one before the last where channels are last, else the rest. */
  contraction?: 'rows' | 'columns' | undefined
  /** Store the matrix transposed. */
  transposed?: boolean | undefined
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
 * are computed when the model is written, so that they take no memory before.
 */
export class WeightCache {
  readonly #entries = new Map<Value, Map<string, QuantizedWeight | string>>()
  readonly #derived = new Map<string, Value>()

  /** The quantized form of the initializer or constant `root`, or the reason why it must stay float. */
  get(root: Value, request: WeightRequest): QuantizedWeight | string {
    const entries = this.#entries.get(root) ?? new Map<string, QuantizedWeight | string>()
    this.#entries.set(root, entries)
    const key = JSON.stringify(request)
    let entry = entries.get(key)
    if (entry === undefined) {
      entry = make(root, request)
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

  /** The float weights that have a quantized form. */
  roots(): Iterable<Value> {
    return this.#entries.keys()
  }
}

function make(root: Value, request: WeightRequest): QuantizedWeight | string {
  const tensor = root.constant
  if (!tensor || !holdsFloats(tensor)) return 'its weight is no float tensor'
  if (tensor.elementCount === 0) return 'its weight has no elements'
  const { type, axis, symmetric, range } = request
  const count = tensor.elementCount
  const layout: ChannelLayout =
    axis === undefined ? { outer: 1, channels: 1, inner: count } : channelLayout(tensor.dims, axis)
  const scales = withFloats(tensor, (data) => {
    const { min, max, nan, infinite } = minMaxPerChannel(data, layout)
    if (nan + infinite > 0) return 'its weight has values that are not finite'
    const safe = range === 'safe' && type === 'int8'
    if (safe && symmetric) {
      const pairs = largestPairs(data, tensor.dims, request, layout)
      for (let i = 0; i < max.length; i++) {
        max[i] = Math.max(max[i]!, -min[i]!, pairs[i]!)
        min[i] = -max[i]!
      }
    }
    const reduceRange = range === 'reduced' || (safe && !symmetric)
    return scaleZeroPoints(min, max, { type, symmetric, reduceRange })
  })
  if (typeof scales === 'string') return scales
  const compute = (): Uint8Array => {
    const codes = withFloats(tensor, (data) => quantizePerChannel(data, layout, type, scales))
    return request.transposed ? transposeBytes(codes, tensor.dims[0]!, tensor.dims[1]!) : codes
  }
  const dims = request.transposed ? [...tensor.dims].reverse() : tensor.dims
  const data = count < SMALL ? compute() : new ComputedBytes(count, compute)
  const { graph, name } = root
  const perChannel = axis === undefined ? [] : [scales.scales.length]
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

/** Weights below this many elements are quantized at once. */
const SMALL = 4096

function largestPairs(
  data: Parameters<typeof pairAbsMax>[0],
  dims: readonly number[],
  { axis, contraction = 'rows' }: WeightRequest,
  layout: ChannelLayout,
): Float32Array {
  if (contraction === 'rows') {
    const matrix = channelLayout(dims, -1)
    const pairs = pairAbsMax(data, matrix, dims.at(-2) ?? 1)
    return axis === undefined ? Float32Array.of(pairs.reduce((a, b) => Math.max(a, b), 0)) : pairs
  }
  const inner = elementsIn(dims.slice(1))
  const pairs = pairAbsMax(data, { outer: 1, channels: dims[0]!, inner }, inner)
  return layout.channels === pairs.length ? pairs : Float32Array.of(pairs.reduce((a, b) => Math.max(a, b), 0))
}

/** Transposes a row-major matrix of bytes, in blocks that fit the cache. */
export function transposeBytes(bytes: Uint8Array, rows: number, columns: number): Uint8Array {
  const out = new Uint8Array(bytes.length)
  const block = 64
  for (let r0 = 0; r0 < rows; r0 += block)
    for (let c0 = 0; c0 < columns; c0 += block) {
      const r1 = Math.min(rows, r0 + block)
      const c1 = Math.min(columns, c0 + block)
      for (let r = r0; r < r1; r++) for (let c = c0; c < c1; c++) out[c * rows + r] = bytes[r * columns + c]!
    }
  return out
}
