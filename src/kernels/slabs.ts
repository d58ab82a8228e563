import { type FloatInput, loader } from './floats.ts'
import { frame } from './memory.ts'

/**
 * A row-major tensor seen from the axis that is cut into blocks: `outer` x `length` x `inner`. A MatMul weight [K, N] blocked
 * along K is 1 x K x N; a Gather table [rows, width] blocked along its rows is rows x width x 1.
 */
export interface BlockLayout {
  readonly outer: number
  readonly length: number
  readonly inner: number
}

/** Some whole blocks of neighbouring channels (lines along the blocked axis) in the kernels' memory, as they lie in the tensor. */
export interface Slab {
  /** Address of the first float32. */
  readonly pointer: number
  /** Place of the first float in the tensor. */
  readonly offset: number
  /** The first channel, numbered `outer index * inner + inner index`. */
  readonly channel: number
  readonly channels: number
  /** Where on the blocked axis it begins, a multiple of the block size, and how many elements of it there are. */
  readonly start: number
  readonly length: number
  /** Floats from channel to channel, and from element to element of one. */
  readonly channelStride: number
  readonly elementStride: number
}

/** Most floats of a slab, unless one block of a few channels is more: they stay in the processor's cache until they are coded. */
const SLAB = 2 ** 18

/** Visits a tensor slab by slab. */
export function forEachSlab(input: FloatInput, layout: BlockLayout, size: number, visit: (slab: Slab) => void): void {
  const { outer, length, inner } = layout
  if (outer * length * inner === 0) return
  const byRows = inner > 1
  // where channels lie one after the other, all of them are one list
  const [groups, perGroup] = byRows ? [outer, inner] : [1, outer]
  const padded = Math.ceil(length / size) * size
  const channels = Math.min(perGroup, Math.max(16, Math.floor(SLAB / (byRows ? size : padded) / 16) * 16))
  const part = Math.min(padded, Math.max(1, Math.floor(SLAB / channels / size)) * size)
  frame((allocate) => {
    const raw = loader(input, allocate, channels * Math.min(part, length))
    for (let group = 0; group < groups; group++)
      for (let first = 0; first < perGroup; first += channels) {
        const count = Math.min(channels, perGroup - first)
        for (let start = 0; start < length; start += part) {
          const rows = Math.min(part, length - start)
          const channel = group * perGroup + first
          const offset = byRows ? (group * length + start) * inner + first : first * length + start
          if (byRows) load(raw, offset, rows, count, inner)
          else load(raw, offset, count, rows, length)
          const strides = byRows
            ? { channelStride: 1, elementStride: count }
            : { channelStride: rows, elementStride: 1 }
          visit({ pointer: raw.pointer, offset, channel, channels: count, start, length: rows, ...strides })
        }
      }
  })
}

/** Brings `count` elements of each of `rows` rows, which are `stride` elements apart. */
function load(raw: ReturnType<typeof loader>, start: number, rows: number, count: number, stride: number): void {
  if (count === stride) raw.load(start, rows * count)
  else for (let row = 0; row < rows; row++) raw.load(start + row * stride, count, row * count)
}
