import { CHUNK, type FloatInput, forEachChunk, lengthOf } from './floats.ts'
import { type ChannelLayout, checkLayout } from './layout.ts'
import { floatsAt } from './memory.ts'

/**
 * Per channel the largest magnitude of a sum of two neighbours along the contraction axis: elements 0 and 1, 2 and 3, ... of what a
 * matrix product sums up. Kernels for x86 without VNNI add such pairs of products in 16 bits; this is what must not
 * become too large there.
 *
 * @param contraction length of that axis. Channels are either the last axis (`inner` is 1; the contraction axis is the one
 *   before) or the first (`outer` is 1; every channel is one run of `inner` elements). NaN counts as 0.
 */
export function pairAbsMax(input: FloatInput, layout: ChannelLayout, contraction: number): Float32Array<ArrayBuffer> {
  checkLayout(layout, lengthOf(input))
  const { channels, inner, outer } = layout
  const largest = new Float32Array(channels)
  if (inner === 1 && outer > 1) {
    const previous = new Float32Array(channels)
    const rows = Math.max(1, Math.floor(CHUNK / channels))
    forEachChunk(
      input,
      (pointer, start, count) => {
        const values = floatsAt(pointer, count)
        for (let offset = 0; offset < count; offset += channels) {
          const row = values.subarray(offset, offset + channels)
          if ((((start + offset) / channels) % contraction) % 2 === 0) {
            previous.set(row)
            continue
          }
          for (let channel = 0; channel < channels; channel++) {
            const sum = Math.abs(previous[channel]! + row[channel]!)
            if (sum > largest[channel]!) largest[channel] = sum
          }
        }
      },
      rows * channels,
    )
    return largest
  }
  let first = 0
  forEachChunk(input, (pointer, start, count) => {
    const values = floatsAt(pointer, count)
    let channel = Math.floor(start / inner) % channels
    let at = start % inner
    for (let i = 0; i < count; i++) {
      if (at % 2 === 0) first = values[i]!
      else {
        const sum = Math.abs(first + values[i]!)
        if (sum > largest[channel]!) largest[channel] = sum
      }
      if (++at === inner) {
        at = 0
        channel = (channel + 1) % channels
      }
    }
  })
  return largest
}
