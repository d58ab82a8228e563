import { CHUNK, type FloatInput, forEachChunk, lengthOf } from './floats.ts'
import { type ChannelLayout, checkLayout, forEachBlock, forEachRun, walkOf } from './layout.ts'
import { bytesAt, floatsAt, frame, intsAt } from './memory.ts'
import { wasm } from './module.ts'
import { type ChannelScales, CODE_RANGES, type QuantizedType, roundHalfEven, type ScaleZeroPoint } from './scale.ts'

/** Bits of an element of a quantized type. */
const BITS: Readonly<Record<QuantizedType, number>> = {
  int8: 8,
  uint8: 8,
  int16: 16,
  uint16: 16,
  int4: 4,
  uint4: 4,
}

/**
 * Quantizes a tensor with one scale and zero point: `clip(roundHalfEven(x / scale) + zeroPoint)` over the full range of
 * `type`, the division in float32, NaN to the lowest code; the very numbers of ONNX Runtime's QuantizeLinear. The result
 * is little-endian raw data: 4-bit codes two to a byte, the earlier in the low nibble. It is written into `into` where
 * that is given: fresh memory costs as much time as the arithmetic.
 */
export function quantize(
  input: FloatInput,
  type: QuantizedType,
  { scale, zeroPoint }: ScaleZeroPoint,
  into?: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  const layout = { outer: 1, channels: 1, inner: lengthOf(input) }
  const one = { scales: Float32Array.of(scale), zeroPoints: Int32Array.of(zeroPoint) }
  return quantizePerChannel(input, layout, type, one, into)
}

/** As `quantize`, with a scale and zero point for each channel of `layout`. */
export function quantizePerChannel(
  input: FloatInput,
  layout: ChannelLayout,
  type: QuantizedType,
  { scales, zeroPoints }: ChannelScales,
  into?: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  const length = lengthOf(input)
  checkLayout(layout, length)
  if (scales.length !== layout.channels || zeroPoints.length !== layout.channels)
    throw new RangeError(`${scales.length} scales and ${zeroPoints.length} zero points for ${layout.channels} channels`)
  const bits = BITS[type]
  const width = bits === 16 ? 2 : 1
  const [low, high] = CODE_RANGES[type].full
  const byteLength = Math.ceil((length * bits) / 8)
  const result = into ?? new Uint8Array(byteLength)
  if (result.length !== byteLength) throw new RangeError(`${result.length} bytes for a result of ${byteLength}`)
  const walk = walkOf(layout)
  frame((allocate) => {
    const kernels = wasm()
    const quantizeRun = width === 1 ? kernels.quantizeRun8 : kernels.quantizeRun16
    const wide = walk.by === 'columns' ? expand(scales, zeroPoints, layout.inner, walk.period, allocate) : undefined
    const codes = allocate(CHUNK * width)
    const packed = allocate(CHUNK / 2)
    forEachChunk(input, (pointer, start, count) => {
      if (wide && walk.by === 'columns')
        forEachBlock(start, count, walk.period, (offset, rows, column, columns) =>
          kernels.quantizeColumns(
            pointer + offset * 4,
            rows,
            columns,
            codes + offset * width,
            wide.scales + column * 4,
            wide.zeroPoints + column * 4,
            low,
            high,
            width,
          ),
        )
      else
        forEachRun(start, count, layout, (offset, channel, run) =>
          quantizeRun(
            pointer + offset * 4,
            run,
            codes + offset * width,
            scales[channel]!,
            zeroPoints[channel]!,
            low,
            high,
          ),
        )
      if (bits === 4) {
        kernels.packNibbles(codes, count, packed)
        result.set(bytesAt(packed, Math.ceil(count / 2)), start / 2)
      } else result.set(bytesAt(codes, count * width), start * width)
    })
  })
  return result
}

/** Writes channel parameters out for every column of the pattern that `walkOf` describes. */
function expand(
  scales: Float32Array,
  zeroPoints: Int32Array,
  inner: number,
  period: number,
  allocate: (byteLength: number) => number,
): { scales: number; zeroPoints: number } {
  const pointers = { scales: allocate(period * 4), zeroPoints: allocate(period * 4) }
  const [wideScales, wideZeroPoints] = [floatsAt(pointers.scales, period), intsAt(pointers.zeroPoints, period)]
  for (let column = 0; column < period; column++) {
    const channel = Math.floor(column / inner) % scales.length
    wideScales[column] = scales[channel]!
    wideZeroPoints[column] = zeroPoints[channel]!
  }
  return pointers
}

/** A bias in int32 and how many of its elements did not fit. */
export interface QuantizedBias {
  readonly values: Int32Array<ArrayBuffer>
  readonly clipped: number
}

/**
 * Quantizes a bias to int32 with zero point 0: `clip(roundHalfEven(x / scale))`, the division in float32. `scales` has one
 * element for all or one per element. Biases are short, so this is plain JavaScript.
 */
export function quantizeBias(bias: Float32Array, scales: Float32Array): QuantizedBias {
  if (scales.length !== 1 && scales.length !== bias.length)
    throw new RangeError(`${scales.length} scales for a bias of ${bias.length} elements`)
  const values = new Int32Array(bias.length)
  let clipped = 0
  for (let i = 0; i < bias.length; i++) {
    const code = roundHalfEven(Math.fround(bias[i]! / scales[scales.length === 1 ? 0 : i]!))
    values[i] = Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, code))
    if (values[i] !== code) clipped++
  }
  return { values, clipped }
}
