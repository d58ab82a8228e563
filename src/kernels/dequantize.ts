import { type ChannelLayout, checkLayout, forEachRun } from './layout.ts'
import type { ChannelScales, QuantizedType } from './scale.ts'

/** Reads code number `i` of raw quantized data. */
export function codeReader(bytes: Uint8Array, type: QuantizedType): (i: number) => number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  switch (type) {
    case 'int8':
      return (i) => view.getInt8(i)
    case 'uint8':
      return (i) => bytes[i]!
    case 'int16':
      return (i) => view.getInt16(i * 2, true)
    case 'uint16':
      return (i) => view.getUint16(i * 2, true)
    case 'uint4':
      return (i) => (bytes[i >> 1]! >> ((i & 1) * 4)) & 15
    case 'int4':
      return (i) => (((bytes[i >> 1]! >> ((i & 1) * 4)) & 15) << 28) >> 28
  }
}

/** The float32 values that quantized data stands for: `(code - zeroPoint) * scale` of each channel. */
export function dequantize(
  bytes: Uint8Array,
  type: QuantizedType,
  layout: ChannelLayout,
  { scales, zeroPoints }: ChannelScales,
): Float32Array<ArrayBuffer> {
  const { outer, channels, inner } = layout
  const result = new Float32Array(outer * channels * inner)
  checkLayout(layout, result.length)
  const read = codeReader(bytes, type)
  forEachRun(0, result.length, layout, (start, channel, count) => {
    const scale = scales[channel]!
    const zeroPoint = zeroPoints[channel]!
    for (let i = start; i < start + count; i++) result[i] = (read(i) - zeroPoint) * scale
  })
  return result
}
