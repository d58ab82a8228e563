import { CHUNK, type FloatInput, forEachChunk, lengthOf } from './floats.ts'
import { type ChannelLayout, checkLayout } from './layout.ts'
import { floatsAt, frame } from './memory.ts'
import { wasm } from './module.ts'

/**
 * Per channel the largest magnitude of a sum of two neighbours along the contraction axis: elements 0 and 1, 2 and 3, ... of what a
 * matrix product sums up. Kernels for x86 without VNNI add such pairs of products in 16 bits; this is what must not
 * become too large there. NaN is passed over.
 *
 * @param contraction length of that axis. Channels are either the last axis (`inner` is 1; the contraction axis is the one
 *   before) or the first (`outer` is 1; every channel is one run of `inner` elements).
 */
export function pairAbsMax(input: FloatInput, layout: ChannelLayout, contraction: number): Float32Array<ArrayBuffer> {
  checkLayout(layout, lengthOf(input))
  const { channels, inner, outer } = layout
  if (inner === 1 && outer > 1) return byRows(input, channels, contraction)
  const largest = new Float32Array(channels)
  const runs = Math.max(1, Math.floor(CHUNK / inner))
  forEachChunk(
    input,
    (pointer, start, count) => {
      for (let offset = 0; offset < count; offset += inner) {
        const channel = (start + offset) / inner
        largest[channel] = wasm().pairAbsMaxRun(pointer + offset * 4, inner, largest[channel]!)
      }
    },
    runs * inner,
  )
  return largest
}

function byRows(input: FloatInput, channels: number, contraction: number): Float32Array<ArrayBuffer> {
  // Pieces of whole pairs; or, where matrices of an odd number of rows are stacked, of whole matrices.
  const unit = channels * (contraction % 2 === 0 ? 2 : contraction)
  const size = Math.max(1, Math.floor(CHUNK / unit)) * unit
  return frame((allocate) => {
    const out = allocate(channels * 4)
    floatsAt(out, channels).fill(0)
    forEachChunk(
      input,
      (pointer, _start, count) => {
        if (contraction % 2 === 0) return wasm().pairAbsMaxRows(pointer, count / channels / 2, channels, out)
        for (let offset = 0; offset < count; offset += unit)
          wasm().pairAbsMaxRows(pointer + offset * 4, (contraction - 1) / 2, channels, out)
      },
      size,
    )
    return floatsAt(out, channels).slice()
  })
}
