export { anyNonFinite, countNonFinite, minMaxColumns, minMaxRows, minMaxRun } from './range'
export { pairAbsMaxRows, pairAbsMaxRun } from './pairs'
export { scaleRows, squaresRows } from './runs'
export { packNibbles, quantizeColumns, quantizeRun16, quantizeRun8 } from './quantize'
export { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16, f32ToF16Plain, f64ToF32, limitToF16 } from './float16'
export { quantizeBlocks } from './blocks'
export { packPairs, transpose16, transpose32, transpose8 } from './layout'
export { compensate, factorRows } from './compensate'
export { compare, histogram } from './statistics'

/** First address that is free for data. */
export function heapBase(): usize {
  return __heap_base
}
