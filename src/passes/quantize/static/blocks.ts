import type { AttributeValue } from '../../../graph/attributes.ts'
import { int } from '../../../graph/attributes.ts'
import { withFloats } from '../../../graph/float-data.ts'
import { Tensor } from '../../../graph/tensor.ts'
import {
  channelLayout,
  codeReader,
  type FloatInput,
  type QuantizedBlocks,
  quantizeBlocks,
  toFloat32,
} from '../../../kernels/index.ts'
import type { QuantizedConstant } from './constants.ts'
import { type CodeType, isFloat8 } from './float8.ts'

/** A matrix with a scale for every so many elements along one axis. */
export interface Blocks extends QuantizedBlocks {
  axis: number
  size: number
}

/** The types that have blocks. */
export type BlockType = 'int8' | 'uint8' | 'int4' | 'uint4'

/** The axis of a weight that a product sums over, along which blocks lie; undefined for operators whose weights have none. */
export function blockAxis(op: string, dims: readonly number[]): number | undefined {
  if (dims.length !== 2) return undefined
  if (op === 'Gemm:transB') return 1
  return op === 'MatMul' || op === 'Gemm' ? 0 : undefined
}

export function isBlockType(type: CodeType): type is BlockType {
  return !type.endsWith('16') && !isFloat8(type)
}

/** Quantizes a matrix in blocks; scales are found from the range of each. Signed types are symmetric. */
export function inBlocks(
  data: FloatInput,
  dims: readonly number[],
  axis: number,
  size: number,
  { type, symmetric, scaleType }: { type: BlockType; symmetric: boolean; scaleType: 'float32' | 'float16' },
): Blocks {
  const { outer, channels, inner } = channelLayout(dims, axis)
  const signed = type.startsWith('int')
  const bits = type.endsWith('4') ? 4 : 8
  const layout = { outer, length: channels, inner }
  const options = {
    bits,
    blockSize: size,
    symmetric: symmetric || signed,
    signed,
    scaleType,
    order: 'original',
  } as const
  return { ...quantizeBlocks(data, layout, options), axis, size }
}

/** The initializers of a matrix in blocks: codes, scales, zero points. */
export function blockTensors({ tensor, request, blocks }: QuantizedConstant): [Tensor, Tensor, Tensor] {
  const { codes, scales, zeroPoints, blocks: count, axis } = blocks!
  const { type, scaleType } = request
  const dims = tensor.dims.map((dim, i) => (i === axis ? count : dim))
  const middle = type === 'uint4' ? 8 : type === 'uint8' ? 128 : 0
  return [
    Tensor.of(type, tensor.dims, codes),
    Tensor.from(scaleType, dims, [...scales]),
    zeroPoints ? Tensor.of(type, dims, zeroPoints) : Tensor.from(type, dims, [...scales].fill(middle)),
  ]
}

/** The attributes of DequantizeLinear for blocks. */
export function blockAttributes({ axis, size }: Blocks): Record<string, AttributeValue> {
  return { axis: int(axis), block_size: int(size) }
}

/** The numbers that codes in blocks stand for. */
export function dequantizeBlocks(constant: QuantizedConstant): Float32Array {
  const { tensor, request, blocks } = constant
  const [codes, scales, zeroPoints] = blockTensors(constant)
  const { axis, size, blocks: count } = blocks!
  const { channels, inner } = channelLayout(tensor.dims, axis)
  const [codeAt, zeroAt] = [codes, zeroPoints].map((part) => codeReader(part!.bytes(), request.type as BlockType))
  const scaleAt = withFloats(scales, (data) => toFloat32(data))
  return Float32Array.from({ length: tensor.elementCount }, (_, i) => {
    const [outer, along, within] = [Math.floor(i / (channels * inner)), Math.floor(i / inner) % channels, i % inner]
    const block = (outer * count + Math.floor(along / size)) * inner + within
    return (codeAt!(i) - zeroAt!(block)) * scaleAt[block]!
  })
}
