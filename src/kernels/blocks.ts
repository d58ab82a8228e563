import { CHUNK, type FloatInput, lengthOf, sliceFloats } from './floats.ts'
import { bytesAt, floatsAt, frame } from './memory.ts'
import { wasm } from './module.ts'
import type { BlockLayout } from './slabs.ts'
import { mergeSlices, sliceLayout } from './slices.ts'
import { transpose } from './transpose.ts'
import { type BlockSettings, codeBlocks } from './work.ts'

/**
 * How the scale and zero point of a block are found:
 * - `minmax`: from the block's range, the very numbers of ONNX Runtime's quantizer;
 * - `mse`: the least squared error among shrunken ranges, zero points and least-squares fits;
 * - `k_quant`: the same with large weights counting for more;
 * - `hqq`: half-quadratic quantization, with float zero points.
 */
export type BlockMethod = 'minmax' | 'mse' | 'k_quant' | 'hqq'

/** How to quantize blocks. */
export interface BlockOptions {
  readonly bits: 2 | 4 | 8
  /** Elements of a block: a multiple of 16, or at least the length of the blocked axis (one block per channel). */
  readonly blockSize: number
  /** Default `minmax`. */
  readonly method?: BlockMethod | undefined
  /** No zero points: the middle code means 0. Not with `hqq`. Default false. */
  readonly symmetric?: boolean | undefined
  /** Type the scale is stored in; it is rounded to it before the codes are made. Default float32. */
  readonly scaleType?: 'float32' | 'float16' | 'bfloat16' | undefined
  /**
   * Order of the result. `blocks`: channel after channel, block after block, as MatMulNBits wants it. `original`: the order
   * of the tensor, as DequantizeLinear and GatherBlockQuantized want it. Default `blocks`.
   */
  readonly order?: 'blocks' | 'original' | undefined
  /** Two's complement codes (int2, int4, int8), in which the middle code is 0. Only symmetric. Default false. */
  readonly signed?: boolean | undefined
}

/** Quantized blocks. An element means (code - zero point) * scale. */
export interface QuantizedBlocks {
  /** Packed codes, earlier ones in lower bits. `blocks`: [channels, blocks, blockSize * bits / 8]; `original`: as the tensor. */
  readonly codes: Uint8Array<ArrayBuffer>
  /** `blocks`: [channels, blocks]; `original`: [outer, blocks, inner]. */
  readonly scales: Float32Array<ArrayBuffer>
  /** Packed as the codes, in the order of the scales; in `blocks` order every channel starts a byte. Absent if symmetric or float. */
  readonly zeroPoints?: Uint8Array<ArrayBuffer>
  /** The zero points of `hqq`, in the order of the scales. */
  readonly floatZeroPoints?: Float32Array<ArrayBuffer>
  /** Number of blocks along the axis. */
  readonly blocks: number
  /** False if some value is not finite: the rest means nothing then. */
  readonly finite: boolean
}

/** Ranges tried by the search, and the smallest of them relative to the whole: few bits pay for more clipping. */
const SEARCH = { 2: [32, 0.3], 4: [20, 0.6], 8: [12, 0.9] } as const
const SCALE_TYPES = { float32: 0, float16: 1, bfloat16: 2 } as const

/**
 * Quantizes a tensor in blocks along one axis to 2, 4 or 8 bits. Throws a RangeError on a block size, layout or combination
 * that does not exist.
 */
export function quantizeBlocks(input: FloatInput, layout: BlockLayout, options: BlockOptions): QuantizedBlocks {
  const { method = 'minmax', symmetric = false, signed = false } = options
  const { outer, length, inner } = layout
  const total = outer * length * inner
  if (total !== lengthOf(input))
    throw new RangeError(`a layout of ${outer} x ${length} x ${inner} does not fit ${lengthOf(input)} elements`)
  if (signed && !symmetric) throw new RangeError('signed codes are for symmetric quantization')
  if (symmetric && method === 'hqq') throw new RangeError('hqq has zero points and cannot be symmetric')
  const slices = sliceLayout(layout, options.blockSize, total / SLICE_ELEMENTS)
  if (slices.length <= 1) return quantizeSlice(input, layout, options)
  const parts = slices.map((slice) =>
    quantizeSlice(sliceFloats(input, slice.start, slice.elements), slice.layout, options),
  )
  return mergeSlices(parts, layout, options)
}

/** Results up to this many elements are made in the kernels' memory as a whole. */
export const SLICE_ELEMENTS: number = 2 ** 22

function quantizeSlice(input: FloatInput, layout: BlockLayout, options: BlockOptions): QuantizedBlocks {
  const { bits, method = 'minmax', symmetric = false, order = 'blocks', signed = false } = options
  const { outer, length, inner } = layout
  const size = checkBlockSize(options.blockSize, length, order)
  const blocks = Math.ceil(length / size)
  const channels = outer * inner
  const count = channels * blocks
  const isHqq = method === 'hqq'
  return frame((allocate) => {
    const byteLength = order === 'blocks' ? (count * size * bits) / 8 : channels * length
    const at = {
      scales: allocate(count * 4),
      zeroPoints: allocate(count * (isHqq ? 4 : 1)),
      codes: allocate(byteLength),
    }
    const finite = codeBlocks(input, layout, {
      ...settingsOf(options, size),
      ...at,
      inPlace: order === 'original',
    })
    const packed =
      order === 'blocks'
        ? bytesAt(at.codes, byteLength).slice()
        : packCodes(bytesAt(at.codes, byteLength).slice(), bits)
    if (signed) flipSign(packed, bits)
    const inOrder = <T extends Float32Array | Uint8Array>(values: T): T =>
      order === 'blocks' || inner === 1 ? values : toInner(values, outer, blocks, inner)
    const result = { codes: packed, scales: inOrder(floatsAt(at.scales, count).slice()), blocks, finite }
    if (symmetric) return result
    if (isHqq) return { ...result, floatZeroPoints: inOrder(floatsAt(at.zeroPoints, count).slice()) }
    const zeroPoints = bytesAt(at.zeroPoints, count).slice()
    const inRows = order === 'blocks' && channels > 0
    return {
      ...result,
      zeroPoints: inRows ? packRows(zeroPoints, channels, bits) : packCodes(inOrder(zeroPoints), bits),
    }
  })
}

/** Options as the kernels want them. */
export function settingsOf(
  { bits, method = 'minmax', symmetric = false, scaleType = 'float32' }: BlockOptions,
  size: number,
): BlockSettings {
  const [steps, least] = SEARCH[bits]
  return { method, size, bits, symmetric, scaleType: SCALE_TYPES[scaleType], steps, least }
}

function checkBlockSize(size: number, length: number, order: 'blocks' | 'original'): number {
  if (Number.isInteger(size) && size > 0 && size % 16 === 0) return size
  if (order === 'original' && size >= length) return Math.ceil(length / 16) * 16
  throw new RangeError(`a block size must be a multiple of 16, not ${size}`)
}

/** Packs codes in the kernels' memory; gives back where the result is. */
function pack(codes: number, count: number, bits: number, scratch: number): number {
  if (bits === 8) return codes
  if (bits === 4) wasm().packNibbles(codes, count, scratch)
  else wasm().packPairs(codes, count, scratch)
  return scratch
}

/** Packs codes of one byte each to `bits` each, earlier ones in lower bits; the last byte is padded with 0. */
export function packCodes(codes: Uint8Array<ArrayBuffer>, bits: 2 | 4 | 8): Uint8Array<ArrayBuffer> {
  if (bits === 8) return codes
  const result = new Uint8Array(Math.ceil((codes.length * bits) / 8))
  frame((allocate) => {
    const raw = allocate(CHUNK)
    const packed = allocate(CHUNK)
    for (let start = 0; start < codes.length; start += CHUNK) {
      const piece = codes.subarray(start, start + CHUNK)
      const count = Math.ceil(piece.length / 4) * 4
      bytesAt(raw, count).fill(0, piece.length)
      bytesAt(raw, count).set(piece)
      pack(raw, count, bits, packed)
      result.set(bytesAt(packed, Math.ceil((piece.length * bits) / 8)), (start * bits) / 8)
    }
  })
  return result
}

/** What was quantized elsewhere, a byte per code. */
export interface LooseBlocks {
  /** [blocks * blockSize, columns]: row by row along the blocked axis, filled up with zero points. */
  readonly codes: Uint8Array<ArrayBuffer>
  /** [columns, blocks]. */
  readonly scales: Float32Array<ArrayBuffer>
  /** [columns, blocks]. */
  readonly zeroPoints: Uint8Array<ArrayBuffer>
  readonly blocks: number
}

/** Packs codes as `quantizeBlocks` does. One of `outer` and `inner` of the layout is 1. */
export function packBlocks(
  { codes, scales, zeroPoints, blocks }: LooseBlocks,
  { outer, length, inner }: BlockLayout,
  { bits, symmetric = false, order = 'blocks', signed = false }: BlockOptions,
): QuantizedBlocks {
  const columns = outer * inner
  const padded = codes.length / columns
  const byColumn = (): Uint8Array<ArrayBuffer> => transpose(codes, padded, columns, 1)
  if (order === 'blocks') {
    const result = { codes: packCodes(byColumn(), bits), scales, blocks, finite: true }
    return symmetric ? result : { ...result, zeroPoints: packRows(zeroPoints, columns, bits) }
  }
  const own = inner > 1 ? codes.slice(0, length * columns) : cropRows(byColumn(), padded, length)
  const packed = packCodes(own, bits)
  if (signed) flipSign(packed, bits)
  const inOrder = <T extends Float32Array | Uint8Array>(values: T): T =>
    inner > 1 ? toInner(values, outer, blocks, inner) : values
  const result = { codes: packed, scales: inOrder(scales), blocks, finite: true }
  return symmetric ? result : { ...result, zeroPoints: packCodes(inOrder(zeroPoints), bits) }
}

/** The first `kept` of every `width` elements. */
function cropRows(values: Uint8Array<ArrayBuffer>, width: number, kept: number): Uint8Array<ArrayBuffer> {
  if (width === kept) return values
  const result = new Uint8Array((values.length / width) * kept)
  for (let row = 0; row * kept < result.length; row++)
    result.set(values.subarray(row * width, row * width + kept), row * kept)
  return result
}

/** Packs `rows` equal rows of codes, each from a new byte on; bytes are filled up with the middle code. */
function packRows(codes: Uint8Array<ArrayBuffer>, rows: number, bits: 2 | 4 | 8): Uint8Array<ArrayBuffer> {
  const perByte = 8 / bits
  const length = codes.length / rows
  if (length % perByte === 0) return packCodes(codes, bits)
  const wide = Math.ceil(length / perByte) * perByte
  const padded = new Uint8Array(rows * wide).fill(1 << (bits - 1))
  for (let row = 0; row < rows; row++) padded.set(codes.subarray(row * length, (row + 1) * length), row * wide)
  return packCodes(padded, bits)
}

/** Turns codes with the zero in the middle into two's complement ones, in place. */
function flipSign(codes: Uint8Array, bits: 2 | 4 | 8): void {
  const mask = { 2: 0xaa, 4: 0x88, 8: 0x80 }[bits]
  for (let i = 0; i < codes.length; i++) codes[i]! ^= mask
}

/** [outer, inner, blocks] -> [outer, blocks, inner]. */
function toInner<T extends Float32Array | Uint8Array>(values: T, outer: number, blocks: number, inner: number): T {
  const result = values.slice() as T
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < inner; i++)
      for (let b = 0; b < blocks; b++) result[(o * blocks + b) * inner + i] = values[(o * inner + i) * blocks + b]!
  return result
}
