import { type FloatInput, lengthOf, toFloat32 } from './floats.ts'
import { bytesAt, floatsAt, frame } from './memory.ts'
import type { BlockLayout } from './slabs.ts'
import { transpose } from './transpose.ts'
import { codeBlocks } from './work.ts'

/** 4-bit codes in the formats of bitsandbytes, as MatMulBnb4 wants them. */
export interface Bnb4 {
  /** Two codes to a byte, the earlier in the high nibble; a last half byte is padded with the code of 0. */
  readonly codes: Uint8Array<ArrayBuffer>
  /** Largest magnitude of each block. */
  readonly magnitudes: Float32Array<ArrayBuffer>
  /** False if some value is not finite: the rest means nothing then. */
  readonly finite: boolean
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
  // blocks that keep to channels can be coded where they lie; others need the flat weight
  const isFlat = length % blockSize !== 0
  const source = isFlat ? flatten(input, layout, blocks * blockSize) : input
  const view = isFlat ? { outer: blocks, length: blockSize, inner: 1 } : layout
  return frame((allocate) => {
    const at = { scales: allocate(blocks * 4), zeroPoints: 0, codes: allocate((blocks * blockSize) / 2) }
    const none = { symmetric: true, scaleType: 0, steps: 0, least: 0, inPlace: false }
    const finite = codeBlocks(source, view, { ...none, ...at, method: type, size: blockSize, bits: 4 })
    return {
      codes: bytesAt(at.codes, Math.ceil(total / 2)).slice(),
      magnitudes: floatsAt(at.scales, blocks).slice(),
      finite,
    }
  })
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
