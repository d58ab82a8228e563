import { Tensor } from '../../../graph/tensor.ts'
import type { QuantizedType } from '../../../kernels/index.ts'

/** The 8-bit float with 4 bits of exponent and 3 of mantissa that has no infinity. */
export type Float8 = 'float8e4m3fn'

/** What tensors are rounded to. */
export type CodeType = QuantizedType | Float8

const FLOAT8 = 'float8e4m3fn'
/** Its largest value. */
export const FLOAT8_MAX = 448
/** The exponent of its smallest normal value, and bits of the mantissa. */
const LEAST_EXPONENT = -6
const MANTISSA = 3

export function isFloat8(type: CodeType): type is Float8 {
  return type === FLOAT8
}

/** The code of the nearest value, ties to the even code; values beyond the largest become the largest. NaN: the code of NaN. */
export function toFloat8(value: number): number {
  if (Number.isNaN(value)) return 0x7f
  const sign = value < 0 || Object.is(value, -0) ? 0x80 : 0
  const magnitude = Math.min(Math.abs(value), FLOAT8_MAX)
  const exponent = Math.max(LEAST_EXPONENT, Math.floor(Math.log2(magnitude)))
  const scaled = magnitude / 2 ** (exponent - MANTISSA)
  const down = Math.floor(scaled)
  const above = scaled - down
  const units = above > 0.5 || (above === 0.5 && down % 2 === 1) ? down + 1 : down
  // Codes follow each other: a mantissa that overflows is the next exponent.
  const steps = magnitude === 0 ? 0 : (exponent - LEAST_EXPONENT) * 2 ** MANTISSA + units
  return sign | Math.min(steps, 0x7e)
}

/** The value of a code. */
export function fromFloat8(code: number): number {
  const sign = code & 0x80 ? -1 : 1
  if ((code & 0x7f) === 0x7f) return Number.NaN
  const [exponent, mantissa] = [(code >> MANTISSA) & 15, code & 7]
  const value = exponent === 0 ? mantissa * 2 ** -9 : (1 + mantissa / 8) * 2 ** (exponent - 7)
  return sign * value
}

let deviation: number | undefined

/**
 * The scale that spreads a tensor over the codes: its standard deviation in units of that of all finite values of the type, as in ONNX
 * Runtime's quantization tools.
 */
export function float8Scale(standardDeviation: number): number {
  deviation ??= standardDeviationOf(Array.from({ length: 256 }, (_, code) => fromFloat8(code)).filter(Number.isFinite))
  const scale = Math.fround(standardDeviation / deviation)
  return scale > 0 ? scale : 1
}

/** Root of the mean squared distance from the mean. */
export function standardDeviationOf(values: ArrayLike<number>): number {
  let [sum, squares] = [0, 0]
  for (let i = 0; i < values.length; i++) {
    sum += values[i]!
    squares += values[i]! ** 2
  }
  const mean = sum / values.length
  return Math.sqrt(Math.max(0, squares / values.length - mean * mean))
}

/** The codes of values in units of `scale`. */
export function float8Codes(values: Float32Array, scale: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(values, (value) => toFloat8(Math.fround(value / scale)))
}

/** A scalar zero point of any type. */
export function zeroPointTensor(type: CodeType, zeroPoint: number): Tensor {
  return isFloat8(type) ? Tensor.of(type, [], new Uint8Array(1)) : Tensor.from(type, [], [zeroPoint])
}
