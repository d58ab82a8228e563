import { type FloatInput, forEachChunk, lengthOf } from './floats.ts'
import { type ChannelLayout, checkLayout, forEachRun } from './layout.ts'
import { floatsAt } from './memory.ts'

/** Mean of the squares of every channel, in double precision; NaN where a value is NaN. */
export function meanSquares(input: FloatInput, layout: ChannelLayout): Float64Array<ArrayBuffer> {
  checkLayout(layout, lengthOf(input))
  const { outer, channels, inner } = layout
  const sums = new Float64Array(channels)
  forEachChunk(input, (pointer, start, count) => {
    const values = floatsAt(pointer, count)
    if (inner === 1) {
      let channel = start % channels
      for (let i = 0; i < count; i++) {
        sums[channel]! += values[i]! * values[i]!
        if (++channel === channels) channel = 0
      }
      return
    }
    forEachRun(start, count, layout, (offset, channel, length) => {
      let sum = 0
      for (let i = offset; i < offset + length; i++) sum += values[i]! * values[i]!
      sums[channel]! += sum
    })
  })
  return sums.map((sum) => sum / (outer * inner))
}
