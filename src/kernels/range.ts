import { type FloatInput, forEachChunk, lengthOf } from './floats.ts'
import { type ChannelLayout, checkLayout, forEachBlock, forEachRows, walkOf } from './layout.ts'
import { floatsAt, frame, intsAt } from './memory.ts'
import { wasm } from './module.ts'

/** Smallest and largest value, NaN left out, and how many values are not finite. Of nothing: Infinity and -Infinity. */
export interface Range {
  readonly min: number
  readonly max: number
  readonly nan: number
  readonly infinite: number
}

/** Ranges of all channels. */
export interface ChannelRanges {
  readonly min: Float32Array<ArrayBuffer>
  readonly max: Float32Array<ArrayBuffer>
  readonly nan: number
  readonly infinite: number
}

/** Range of a whole tensor. */
export function minMax(input: FloatInput): Range {
  const { min, max, nan, infinite } = minMaxPerChannel(input, { outer: 1, channels: 1, inner: lengthOf(input) })
  return { min: min[0]!, max: max[0]!, nan, infinite }
}

/** Range of every channel of a tensor (`min` and `max` have `channels` elements). */
export function minMaxPerChannel(input: FloatInput, layout: ChannelLayout): ChannelRanges {
  checkLayout(layout, lengthOf(input))
  const walk = walkOf(layout)
  const columns = walk.by === 'runs' ? layout.channels : walk.period
  return frame((allocate) => {
    const kernels = wasm()
    const counts = allocate(8)
    intsAt(counts, 2).fill(0)
    // runs: a pair (min, max) per channel; columns: all minimums, then all maximums
    const ranges = allocate(columns * 8)
    const maxs = ranges + columns * 4
    const wide = floatsAt(ranges, columns * 2)
    wide.fill(Number.POSITIVE_INFINITY)
    if (walk.by === 'columns') wide.fill(Number.NEGATIVE_INFINITY, columns)
    else for (let i = 1; i < wide.length; i += 2) wide[i] = Number.NEGATIVE_INFINITY
    forEachChunk(input, (pointer, start, count) => {
      if (kernels.anyNonFinite(pointer, count)) kernels.countNonFinite(pointer, count, counts)
      if (walk.by === 'columns')
        forEachBlock(start, count, walk.period, (offset, rows, column, width) =>
          kernels.minMaxColumns(pointer + offset * 4, rows, width, ranges + column * 4, maxs + column * 4),
        )
      else
        forEachRows(start, count, layout, (offset, channel, rows, length) =>
          kernels.minMaxRows(pointer + offset * 4, rows, length, ranges + channel * 8),
        )
    })
    const [nan, infinite] = intsAt(counts, 2)
    const found = floatsAt(ranges, columns * 2)
    if (walk.by === 'runs') {
      const [min, max] = [new Float32Array(columns), new Float32Array(columns)]
      for (let i = 0; i < columns; i++) {
        min[i] = found[2 * i]!
        max[i] = found[2 * i + 1]!
      }
      return { min, max, nan: nan!, infinite: infinite! }
    }
    const [wideMin, wideMax] = [found.subarray(0, columns), found.subarray(columns)]
    const { channels, inner } = layout
    const min = new Float32Array(channels).fill(Number.POSITIVE_INFINITY)
    const max = new Float32Array(channels).fill(Number.NEGATIVE_INFINITY)
    for (let column = 0; column < columns; column++) {
      const channel = Math.floor(column / inner) % channels
      min[channel] = Math.min(min[channel]!, wideMin[column]!)
      max[channel] = Math.max(max[channel]!, wideMax[column]!)
    }
    return { min, max, nan: nan!, infinite: infinite! }
  })
}

/** Largest magnitude, NaN left out; 0 of nothing. */
export function absMax(input: FloatInput): number {
  const { min, max } = minMax(input)
  return Math.max(0, max, -min)
}

/** True when no value is NaN or infinite. */
export function allFinite(input: FloatInput): boolean {
  let finite = true
  forEachChunk(input, (pointer, _start, count) => {
    finite &&= wasm().anyNonFinite(pointer, count) === 0
  })
  return finite
}
