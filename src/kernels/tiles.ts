import { type FloatInput, loader } from './floats.ts'
import { frame } from './memory.ts'
import { wasm } from './module.ts'

/**
 * A row-major tensor seen from the axis that is cut into blocks: `outer` x `length` x `inner`. A MatMul weight [K, N] blocked
 * along K is 1 x K x N; a Gather table [rows, width] blocked along its rows is rows x width x 1.
 */
export interface BlockLayout {
  readonly outer: number
  readonly length: number
  readonly inner: number
}

/** Some neighbouring channels of a tensor (lines along the blocked axis), in the kernels' memory. */
export interface Tile {
  /** Address of `channels` rows of `padded` float32, the end of a row's last block filled up with copies. */
  readonly pointer: number
  /** The first channel, numbered `outer index * inner + inner index`. */
  readonly channel: number
  readonly channels: number
  /** Where on the blocked axis the rows begin, a multiple of the block size. */
  readonly start: number
  /** Elements of a row that are real. */
  readonly length: number
  /** Elements of a row, a multiple of the block size. */
  readonly padded: number
}

/** Most elements of a row of a tile (longer only if one block is), and most channels. */
const ROW = 1024
const CHANNELS = 256

/** Largest number of elements that a tile of this layout and block size has, and blocks in it. */
export function tileCapacity(layout: BlockLayout, size: number): { elements: number; blocks: number } {
  const row = rowLength(layout.length, size)
  return { elements: row * CHANNELS, blocks: (row / size) * CHANNELS }
}

function rowLength(length: number, size: number): number {
  return Math.min(Math.ceil(length / size), Math.max(1, Math.floor(ROW / size))) * size
}

/** Visits a tensor tile by tile, transposed where the blocked axis is not the innermost. */
export function forEachTile(input: FloatInput, layout: BlockLayout, size: number, visit: (tile: Tile) => void): void {
  const { outer, length: total, inner } = layout
  if (outer * total * inner === 0) return
  const row = rowLength(total, size)
  // where rows lie in order, all of them are one list of channels
  const groups = inner === 1 ? 1 : outer
  const perGroup = inner === 1 ? outer : inner
  frame((allocate) => {
    const { elements } = tileCapacity(layout, size)
    const raw = loader(input, allocate, elements)
    const transposed = inner === 1 ? raw.pointer : allocate(elements * 4)
    for (let group = 0; group < groups; group++)
      for (let first = 0; first < perGroup; first += CHANNELS) {
        const channels = Math.min(CHANNELS, perGroup - first)
        for (let start = 0; start < total; start += row) {
          const length = Math.min(row, total - start)
          const padded = Math.ceil(length / size) * size
          if (inner === 1) {
            if (padded === total) raw.load(first * total, channels * total)
            else for (let c = 0; c < channels; c++) raw.load((first + c) * total + start, length, c * padded)
          } else {
            for (let k = 0; k < length; k++)
              raw.load((group * total + start + k) * inner + first, channels, k * channels)
            wasm().transpose32(raw.pointer, length, channels, channels, transposed, padded)
          }
          if (padded > length) wasm().padRows(transposed, channels, length, padded, padded - size)
          visit({ pointer: transposed, channel: group * perGroup + first, channels, start, length, padded })
        }
      }
  })
}
