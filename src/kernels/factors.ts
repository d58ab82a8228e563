import { type FloatInput, lengthOf, toFloat32 } from './floats.ts'
import { type ChannelLayout, checkLayout, forEachRows, forEachRun } from './layout.ts'
import { floatsAt, frame } from './memory.ts'
import { wasm } from './module.ts'

/**
 * The input with every channel multiplied by its factor, in float32; a factor of 0 gives 0 whatever the value. float32 data in a
 * file is multiplied while it is read; other data is copied.
 */
export function withFactors(input: FloatInput, layout: ChannelLayout, factors: Float32Array): FloatInput {
  checkLayout(layout, lengthOf(input))
  if (input instanceof Float32Array || input.dtype !== 'float32' || input.bytes instanceof Uint8Array) {
    const copy = toFloat32(input)
    multiply(copy, 0, layout, factors)
    return copy
  }
  const { bytes } = input
  return {
    dtype: 'float32',
    bytes: {
      byteLength: bytes.byteLength,
      read(target, offset) {
        bytes.read(target, offset)
        multiply(new Float32Array(target.buffer, target.byteOffset, target.length / 4), offset / 4, layout, factors)
      },
    },
  }
}

function multiply(values: Float32Array, start: number, layout: ChannelLayout, factors: Float32Array): void {
  if (layout.inner === 1) {
    let channel = start % layout.channels
    for (let i = 0; i < values.length; i++) {
      values[i] = factors[channel] === 0 ? 0 : values[i]! * factors[channel]!
      if (++channel === layout.channels) channel = 0
    }
    return
  }
  if (values.buffer === wasm().memory.buffer) {
    const { byteOffset, length } = values
    frame((allocate) => {
      const pointer = allocate(layout.channels * 4)
      floatsAt(pointer, layout.channels).set(factors)
      forEachRows(start, length, layout, (offset, channel, rows, columns) =>
        wasm().scaleRows(byteOffset + offset * 4, rows, columns, pointer + channel * 4),
      )
    })
    return
  }
  forEachRun(start, values.length, layout, (offset, channel, count) => {
    const factor = factors[channel]!
    if (factor === 0) values.fill(0, offset, offset + count)
    else for (let i = offset; i < offset + count; i++) values[i] = values[i]! * factor
  })
}
