import { type FloatInput, forEachChunk, lengthOf } from './floats.ts'
import { type ChannelLayout, checkLayout, forEachRows } from './layout.ts'
import { floatsAt, frame } from './memory.ts'
import { wasm } from './module.ts'

/** Mean of the squares of every channel, in double precision; NaN where a value is NaN. */
export function meanSquares(input: FloatInput, layout: ChannelLayout): Float64Array<ArrayBuffer> {
  checkLayout(layout, lengthOf(input))
  const { outer, channels, inner } = layout
  const sums = new Float64Array(channels)
  frame((allocate) => {
    const pointer = allocate(channels * 8)
    const wide = (): Float64Array => new Float64Array(wasm().memory.buffer, pointer, channels)
    wide().fill(0)
    forEachChunk(input, (x, start, count) => {
      if (inner > 1) {
        forEachRows(start, count, layout, (offset, channel, rows, length) =>
          wasm().squaresRows(x + offset * 4, rows, length, pointer + channel * 8),
        )
        return
      }
      const values = floatsAt(x, count)
      let channel = start % channels
      for (let i = 0; i < count; i++) {
        sums[channel]! += values[i]! * values[i]!
        if (++channel === channels) channel = 0
      }
    })
    if (inner > 1) sums.set(wide())
  })
  return sums.map((sum) => sum / (outer * inner))
}
