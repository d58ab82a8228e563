import { CHUNK, FLOAT_BYTES, type FloatInput, forEachChunk, lengthOf } from './floats.ts'
import { bytesAt, floatsAt, frame, intsAt } from './memory.ts'
import { wasm } from './module.ts'

/** Largest finite half. */
export const FLOAT16_MAX: number = 65504
/** Smallest positive (subnormal) half, 2^-24. */
export const FLOAT16_SMALLEST: number = 2 ** -24

/** What `toFloat16` does to values that a half cannot hold. Infinite values, NaN and zero always stay what they are. */
export interface Float16Limits {
  /** Finite values beyond it become it. At most 65504; `Infinity` lets large values become infinite. Default 65504. */
  readonly largest?: number | undefined
  /** Non-zero values below it become it. At least 2^-24; 0 lets small values round to zero. Default 0. */
  readonly smallest?: number | undefined
}

/** What became of the values. */
export interface Float16Report {
  /** Finite values that were beyond `largest`. */
  readonly clipped: number
  /** Non-zero values that were below `smallest`. */
  readonly raised: number
  /** Non-zero values that became zero. */
  readonly flushed: number
  /** Values that became subnormal halves, with a loss of precision. */
  readonly subnormal: number
  /** Finite values that became infinite; 0 unless `largest` is Infinity. */
  readonly overflowed: number
  /** Largest finite magnitude of the input. */
  readonly maxAbs: number
}

/** Halves as bit patterns, and what became of the values. */
export interface Float16Result extends Float16Report {
  readonly values: Uint16Array<ArrayBuffer>
}

/** Converts to float16, rounding to nearest even (NaN stays NaN), with limits and a report. */
export function toFloat16(input: FloatInput, limits: Float16Limits = {}): Float16Result {
  const values = new Uint16Array(lengthOf(input))
  return { values, ...writeFloat16(input, new Uint8Array(values.buffer), limits) }
}

/** As `toFloat16`, into memory that is there already, at any offset: fresh memory costs as much time as the arithmetic. */
export function writeFloat16(input: FloatInput, target: Uint8Array, limits: Float16Limits = {}): Float16Report {
  const { largest = FLOAT16_MAX, smallest = 0 } = limits
  if (!(largest > 0 && (largest <= FLOAT16_MAX || largest === Number.POSITIVE_INFINITY)))
    throw new RangeError(`the largest half is ${FLOAT16_MAX}, not ${largest}`)
  if (!(smallest === 0 || (smallest >= FLOAT16_SMALLEST && smallest <= largest)))
    throw new RangeError(`the smallest half is 2^-24, not ${smallest}`)
  if (target.length !== lengthOf(input) * 2)
    throw new RangeError(`${target.length} bytes for the halves of ${lengthOf(input)} values`)
  const result = { clipped: 0, raised: 0, flushed: 0, subnormal: 0, overflowed: 0, maxAbs: 0 }
  const [largestBits, smallestBits] = new Uint32Array(Float32Array.of(Math.min(largest, FLOAT16_MAX), smallest).buffer)
  frame((allocate) => {
    const kernels = wasm()
    const report = allocate(24)
    const halves = allocate(CHUNK * 2)
    forEachChunk(input, (pointer, start, count) => {
      const padded = Math.ceil(count / 8) * 8
      floatsAt(pointer + count * 4, padded - count).fill(0)
      kernels.f32ToF16Plain(pointer, padded, halves, report)
      const [most, leastMinus1, zeros, zeroHalves, smallHalves] = intsAt(report, 5)
      const least = (leastMinus1! >>> 0) + 1
      if (most! <= largestBits! && least >= smallestBits!) {
        result.flushed += zeroHalves! - zeros!
        result.subnormal += smallHalves! - zeroHalves!
        result.maxAbs = Math.max(result.maxAbs, floatsAt(report, 1)[0]!)
      } else {
        // something here is out of limits or not finite: the slow way
        bytesAt(report, 24).fill(0)
        kernels.limitToF16(pointer, padded, largest, smallest, report)
        kernels.f32ToF16(pointer, count, halves)
        const [clipped, raised, flushed, subnormal, overflowed] = intsAt(report, 5)
        result.clipped += clipped!
        result.raised += raised!
        result.flushed += flushed!
        result.subnormal += subnormal!
        result.overflowed += overflowed!
        result.maxAbs = Math.max(result.maxAbs, floatsAt(report + 20, 1)[0]!)
      }
      target.set(bytesAt(halves, count * 2), start * 2)
    })
  })
  return result
}

/** Converts to bfloat16 (bit patterns), rounding to nearest even; values beyond its range become infinite, NaN stays NaN. */
export function toBfloat16(input: FloatInput): Uint16Array<ArrayBuffer> {
  const values = new Uint16Array(lengthOf(input))
  const bytes = new Uint8Array(values.buffer)
  frame((allocate) => {
    const halves = allocate(CHUNK * FLOAT_BYTES.bfloat16)
    forEachChunk(input, (pointer, start, count) => {
      wasm().f32ToBf16(pointer, count, halves)
      bytes.set(bytesAt(halves, count * 2), start * 2)
    })
  })
  return values
}
