import { holdsFloats, withFloats } from '../../../graph/float-data.ts'
import { elementsIn, Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import {
  type ChannelLayout,
  type ChannelScales,
  channelLayout,
  minMaxPerChannel,
  quantizePerChannel,
  scaleZeroPoints,
  toFloat32,
} from '../../../kernels/index.ts'
import { ComputedBytes } from '../../../onnx/bytes.ts'
import { byteLengthOf } from '../../../onnx/dtypes.ts'
import { MASKS } from '../calibrate/statistics.ts'
import { type Blocks, blockAxis, blockTensors, inBlocks, isBlockType } from './blocks.ts'
import { type CodeType, float8Codes, float8Scale, isFloat8, standardDeviationOf, zeroPointTensor } from './float8.ts'
import { safePairs } from './pairs.ts'

/** How to quantize a constant. */
export interface ConstantRequest {
  type: CodeType
  symmetric: boolean
  /** `safe`: as many codes as cannot saturate sums of two neighbouring products with uint8. */
  range: 'full' | 'reduced' | 'safe'
  /** The axis with a scale for each of its elements; undefined: one scale. Counted from the end if negative. */
  axis: number | undefined
  /** Operator whose product must not saturate, for `safe`. */
  op: string
  scaleType: 'float32' | 'float16'
  minimumRealRange?: number | undefined
  /** Elements along the axis that the product sums over that share a scale; undefined: no blocks. */
  blockSize?: number | undefined
  /** Constants that hold masks stay float. */
  refuseMasks: boolean
  /** Given instead of found: range, or the parameters themselves. */
  given?: { min?: number | undefined; max?: number | undefined; scale?: number[]; zeroPoint?: number[] } | undefined
}

/** A quantized constant. */
export interface QuantizedConstant {
  root: Value
  /** The float data. */
  tensor: Tensor
  request: ConstantRequest
  layout: ChannelLayout
  /** Scales may be raised until the constant is written out. */
  scales: ChannelScales
  /** The part of the codes that `safe` leaves to the largest weight of a channel, on average. Default 1. */
  kept?: number
  /** Instead of `layout` and `scales`, where the request has a block size. */
  blocks?: Blocks
}

/** Codes below this many are computed at once, others when the model is written. */
const SMALL = 4096

/** Finds scales of a constant; a text says why it must stay float. */
export function planConstant(root: Value, request: ConstantRequest): QuantizedConstant | string {
  const tensor = root.constant
  if (!tensor || !holdsFloats(tensor)) return 'its constant is no float tensor'
  const { dims } = tensor
  const { type, symmetric, range, scaleType, given, minimumRealRange } = request
  const layout: ChannelLayout =
    request.axis === undefined || dims.length === 0
      ? { outer: 1, channels: 1, inner: elementsIn(dims) }
      : channelLayout(dims, request.axis)
  if (given?.scale) {
    const expand = (list: readonly number[]): number[] =>
      list.length === layout.channels ? [...list] : Array.from({ length: layout.channels }, () => list[0]!)
    const scales = Float32Array.from(expand(given.scale))
    return {
      root,
      tensor,
      request,
      layout,
      scales: { scales, zeroPoints: Int32Array.from(expand(given.zeroPoint ?? [0])) },
    }
  }
  return withFloats(tensor, (data) => {
    const { min, max, nan, infinite } = minMaxPerChannel(data, layout)
    if (nan + infinite > 0) return 'its constant has values that are not finite'
    if (request.refuseMasks && (min.some((x) => x <= MASKS.low) || max.some((x) => x >= MASKS.high)))
      return 'its constant is a mask'
    if (isFloat8(type)) {
      const scale = float8Scale(standardDeviationOf(toFloat32(data)))
      return {
        root,
        tensor,
        request,
        layout,
        scales: { scales: Float32Array.of(scale), zeroPoints: new Int32Array(1) },
      }
    }
    const along = request.blockSize === undefined ? undefined : blockAxis(request.op, dims)
    if (along !== undefined && isBlockType(type)) {
      const blocks = inBlocks(data, dims, along, request.blockSize!, { type, symmetric, scaleType })
      return {
        root,
        tensor,
        request,
        layout,
        scales: { scales: new Float32Array(), zeroPoints: new Int32Array() },
        blocks,
      }
    }
    if (given?.min !== undefined) min.fill(given.min)
    if (given?.max !== undefined) max.fill(given.max)
    const safe = range === 'safe' && type === 'int8' && symmetric
    let kept = 1
    if (safe) {
      let sum = 0
      const pairs = safePairs(data, dims, layout, request.op)
      for (let i = 0; i < max.length; i++) {
        const own = Math.max(max[i]!, -min[i]!)
        max[i] = Math.max(own, pairs?.[i] ?? 0)
        min[i] = -max[i]!
        sum += max[i]! > 0 ? own / max[i]! : 1
      }
      kept = max.length ? sum / max.length : 1
    }
    const reduceRange = range === 'reduced' || (range === 'safe' && type === 'int8' && !symmetric)
    return {
      root,
      tensor,
      request,
      layout,
      scales: scaleZeroPoints(min, max, { type, symmetric, reduceRange, scaleType, minimumRealRange }),
      kept,
    }
  })
}

/** The initializers of a quantized constant. */
export interface Initializers {
  data: Value
  scale: Value
  zeroPoint: Value
}

/** Adds a quantized constant to the graph of the float one. */
export function emitConstant(constant: QuantizedConstant, name: string = constant.root.name): Initializers {
  const { root, tensor, request, layout, scales } = constant
  const { type, axis, scaleType } = request
  const { graph } = root
  if (constant.blocks) {
    const [codes, blockScales, zeroPoints] = blockTensors(constant)
    return {
      data: graph.addInitializer(`${name}_quantized`, codes),
      scale: graph.addInitializer(`${name}_scale`, blockScales),
      zeroPoint: graph.addInitializer(`${name}_zero_point`, zeroPoints),
    }
  }
  const length = byteLengthOf(type, tensor.elementCount)
  const compute = (): Uint8Array =>
    withFloats(tensor, (data) =>
      isFloat8(type) ? float8Codes(toFloat32(data), scales.scales[0]!) : quantizePerChannel(data, layout, type, scales),
    )
  const bytes = tensor.elementCount < SMALL ? compute() : new ComputedBytes(length, compute)
  const dims = axis === undefined || tensor.dims.length === 0 ? [] : [layout.channels]
  return {
    data: graph.addInitializer(`${name}_quantized`, Tensor.of(type, tensor.dims, bytes)),
    scale: graph.addInitializer(`${name}_scale`, Tensor.from(scaleType, dims, [...scales.scales])),
    zeroPoint: graph.addInitializer(
      `${name}_zero_point`,
      isFloat8(type) ? zeroPointTensor(type, 0) : Tensor.from(type, dims, [...scales.zeroPoints]),
    ),
  }
}
