export { anyNonFinite, countNonFinite, minMaxColumns, minMaxRun } from './range'
export { packNibbles, quantizeColumns, quantizeRun16, quantizeRun8 } from './quantize'
export { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16, f32ToF16Plain, f64ToF32, limitToF16 } from './float16'

/** First address that is free for data. */
export function heapBase(): usize {
  return __heap_base
}
