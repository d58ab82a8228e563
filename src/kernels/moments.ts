import { type FloatInput, forEachChunk, lengthOf } from './floats.ts'
import { type ChannelLayout, checkLayout, forEachRun } from './layout.ts'
import { floatsAt } from './memory.ts'
import { wasm } from './module.ts'

/** Mean of the squares of every channel, in double precision; NaN where a value is NaN. */
export function meanSquares(input: FloatInput, layout: ChannelLayout): Float64Array<ArrayBuffer> {
  checkLayout(layout, lengthOf(input))
  const { outer, channels, inner } = layout
  const sums = new Float64Array(channels)
  forEachChunk(input, (pointer, start, count) => {
    if (inner === 1) {
      const values = floatsAt(pointer, count)
      let channel = start % channels
      for (let i = 0; i < count; i++) {
        sums[channel]! += values[i]! * values[i]!
        if (++channel === channels) channel = 0
      }
      return
    }
    forEachRun(start, count, layout, (offset, channel, length) => {
      sums[channel]! += wasm().squaresRun(pointer + offset * 4, length)
    })
  })
  return sums.map((sum) => sum / (outer * inner))
}
