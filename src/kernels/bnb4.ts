import { type FloatInput, lengthOf, toFloat32 } from './floats.ts'
import { bytesAt, floatsAt, frame } from './memory.ts'
import { wasm } from './module.ts'
import { type BlockLayout, forEachTile, tileCapacity } from './tiles.ts'
import { transpose } from './transpose.ts'

/** 4-bit codes in the formats of bitsandbytes, as MatMulBnb4 wants them. */
export interface Bnb4 {
  /** Two codes to a byte, the earlier in the high nibble; a last half byte is padded with the code of 0. */
  readonly codes: Uint8Array<ArrayBuffer>
  /** Largest magnitude of each block. */
  readonly magnitudes: Float32Array<ArrayBuffer>
}

/**
 * Quantizes a MatMul weight to FP4 or NF4: the weight is flattened channel after channel (the transpose of [K, N], for layout
 * 1 x K x N) and cut into blocks of `blockSize` (a multiple of 16) that may reach from one channel into the next.
 */
export function quantizeBnb4(input: FloatInput, layout: BlockLayout, type: 'fp4' | 'nf4', blockSize: number): Bnb4 {
  const { outer, length, inner } = layout
  const total = outer * length * inner
  if (total !== lengthOf(input))
    throw new RangeError(`a layout of ${outer} x ${length} x ${inner} does not fit ${lengthOf(input)} elements`)
  if (!(Number.isInteger(blockSize) && blockSize > 0 && blockSize % 16 === 0))
    throw new RangeError(`a block size must be a multiple of 16, not ${blockSize}`)
  const blocks = Math.ceil(total / blockSize)
  const codes = new Uint8Array(Math.ceil(total / 2))
  const magnitudes = new Float32Array(blocks)
  const whole = length % blockSize === 0
  // blocks that keep to channels can be coded tile by tile; others need the flat weight
  const flat = whole ? undefined : flatten(input, layout, blocks * blockSize)
  const source = flat ?? input
  const view = flat ? { outer: blocks, length: blockSize, inner: 1 } : layout
  frame((allocate) => {
    const capacity = tileCapacity(view, blockSize)
    const at = { magnitudes: allocate(capacity.blocks * 4), codes: allocate(capacity.elements / 2) }
    forEachTile(source, view, blockSize, (tile) => {
      const perChannel = tile.padded / blockSize
      const count = tile.channels * perChannel
      wasm().blocksBnb4(tile.pointer, count, blockSize, type === 'nf4' ? 1 : 0, at.magnitudes, at.codes)
      for (let c = 0; c < tile.channels; c++) {
        const first = ((tile.channel + c) * view.length + tile.start) / blockSize
        magnitudes.set(floatsAt(at.magnitudes + c * perChannel * 4, perChannel), first)
        const room = codes.length - (first * blockSize) / 2
        codes.set(bytesAt(at.codes + (c * tile.padded) / 2, Math.min(room, tile.padded / 2)), (first * blockSize) / 2)
      }
    })
  })
  return { codes, magnitudes }
}

/** The weight channel after channel, padded with zeros to `length` elements. */
function flatten(input: FloatInput, layout: BlockLayout, length: number): Float32Array<ArrayBuffer> {
  const result = new Float32Array(length)
  const values = toFloat32(input)
  if (layout.inner === 1) {
    result.set(values)
    return result
  }
  const { outer, length: rows, inner: columns } = layout
  const matrix = rows * columns * 4
  for (let o = 0; o < outer; o++)
    transpose(
      new Uint8Array(values.buffer, o * matrix, matrix),
      rows,
      columns,
      4,
      new Uint8Array(result.buffer, o * matrix, matrix),
    )
  return result
}
