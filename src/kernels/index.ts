/**
 * Fast exact arithmetic over weights: WebAssembly SIMD (`assembly/`) behind functions that take float data where it
 * lies, in whatever float type and at whatever offset, or read it piece by piece from a file. Memory use is a few
 * megabytes plus the result. All functions are synchronous; each thread has its own instance.
 */
export {
  type BlockMethod,
  type BlockOptions,
  type LooseBlocks,
  packBlocks,
  packCodes,
  type QuantizedBlocks,
  quantizeBlocks,
} from './blocks.ts'
export { type Bnb4, quantizeBnb4 } from './bnb4.ts'
export { compensate, factorRows, type QuantizedRows, type RowsToQuantize } from './compensate.ts'
export { codeReader, dequantize } from './dequantize.ts'
export { withFactors } from './factors.ts'
export {
  FLOAT16_MAX,
  FLOAT16_SMALLEST,
  type Float16Limits,
  type Float16Result,
  toBfloat16,
  toFloat16,
  writeFloat16,
} from './float16.ts'
export {
  type ByteReader,
  type FloatData,
  type FloatInput,
  type FloatType,
  forEachChunk,
  lengthOf,
  reread,
  sliceFloats,
  toFloat32,
} from './floats.ts'
export { type ChannelLayout, channelLayout } from './layout.ts'
export { meanSquares } from './moments.ts'
export { pairAbsMax } from './pairs.ts'
export { BLOCK_COST_NS, type BlockPool, type BlockPoolOptions, blockPool } from './parallel.ts'
export { type QuantizedBias, quantize, quantizeBias, quantizePerChannel } from './quantize.ts'
export { absMax, allFinite, type ChannelRanges, minMax, minMaxPerChannel, type Range } from './range.ts'
export {
  type ChannelScales,
  CODE_RANGES,
  type QuantizedType,
  roundHalfEven,
  roundToFloat16,
  type ScaleOptions,
  type ScaleZeroPoint,
  scaleZeroPoint,
  scaleZeroPoints,
} from './scale.ts'
export type { BlockLayout } from './slabs.ts'
export { addToHistogram, type Comparison, compare, type Histogram, histogram } from './statistics.ts'
export { permute, transpose } from './transpose.ts'
