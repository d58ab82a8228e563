import { Tensor } from '../graph/tensor.ts'
import { compare } from '../kernels/index.ts'
import { isFloat } from '../onnx/dtypes.ts'

/** How far a tensor is from the one it should be. */
export interface Difference {
  /** Why the two can't be compared number by number (another shape); then all measures are the worst. */
  mismatch?: string
  /** Largest absolute difference. */
  maxAbs: number
  /** Largest difference relative to the largest expected magnitude. */
  maxRel: number
  /** Cosine of the angle between both, taken as vectors. 1 of equal ones. */
  cosine: number
  /** Signal to noise ratio in dB; Infinity if equal. */
  sqnr: number
  /** Elements that differ by more than `atol + rtol * |expected|`, or are NaN or infinite where they should not be. */
  outside: number
  /** Elements in all. */
  elements: number
  /** Elements that became NaN or infinite. */
  broken: number
}

/** Tolerance of one element: `|found - expected| <= atol + rtol * |expected|`. */
export interface Tolerance {
  rtol: number
  atol: number
}

/** What an output must reach to be good enough. */
export interface Bars {
  /** Lowest cosine. */
  cosine: number
  /** Every element within `atol + rtol * |expected|`, if one of them is given. */
  rtol?: number | undefined
  atol?: number | undefined
}

/** Differences up to this size do not count where only the cosine is asked for: the direction of almost nothing is noise. */
const NEGLIGIBLE = 1e-6

/** True if a difference is within the bars. What is broken or of another shape never is. */
export function isWithin(row: Difference, { cosine, rtol, atol }: Bars): boolean {
  if (row.mismatch !== undefined || row.broken > 0) return false
  const perElement = rtol !== undefined || atol !== undefined
  return (row.cosine >= cosine || row.maxAbs <= NEGLIGIBLE) && !(perElement && row.outside > 0)
}

/**
 * Compares a result with the expected one. Types may differ (float16 for float32); strings must be equal.
 *
 * @param hidden by row of the first two dimensions: true for those that say nothing, since the attention mask hides them
 */
export function difference(
  found: Tensor,
  expected: Tensor,
  { rtol, atol }: Tolerance,
  hidden?: readonly boolean[],
): Difference {
  const elements = expected.elementCount
  const worst = {
    maxAbs: Number.POSITIVE_INFINITY,
    maxRel: Number.POSITIVE_INFINITY,
    cosine: 0,
    sqnr: Number.NEGATIVE_INFINITY,
  }
  if (String(found.dims) !== String(expected.dims))
    return {
      ...worst,
      mismatch: `shape [${found.dims}] instead of [${expected.dims}]`,
      outside: elements,
      elements,
      broken: 0,
    }
  if (expected.dtype === 'string' || found.dtype === 'string') {
    const equal = expected.dtype === found.dtype && String(found.toStrings()) === String(expected.toStrings())
    const same = { maxAbs: 0, maxRel: 0, cosine: 1, sqnr: Number.POSITIVE_INFINITY, outside: 0, elements, broken: 0 }
    return equal ? same : { ...worst, mismatch: 'other texts', outside: elements, elements, broken: 0 }
  }
  const [a, b] = [numbersOf(found), numbersOf(expected)]
  if (hidden) blank(hidden, a, b)
  let maxAbs = 0
  let largest = 0
  let outside = 0
  let broken = 0
  // Where both are the same infinity or NaN they agree; such elements count as 0 for the sums.
  for (let i = 0; i < b.length; i++) {
    const [x, y] = [a[i]!, b[i]!]
    if (Math.abs(y) >= INFINITE && Math.abs(x) >= LIMIT && x > 0 === y > 0) {
      a[i] = 0
      b[i] = 0
      continue
    }
    if (Number.isFinite(x) && Number.isFinite(y)) {
      const error = Math.abs(x - y)
      if (error > maxAbs) maxAbs = error
      if (error > atol + rtol * Math.abs(y)) outside++
      if (Math.abs(y) > largest) largest = Math.abs(y)
      continue
    }
    if (!Object.is(x, y)) {
      outside++
      if (!Number.isFinite(x) && Number.isFinite(y)) broken++
      else maxAbs = Number.POSITIVE_INFINITY
    }
    a[i] = 0
    b[i] = 0
  }
  if (broken) return { ...worst, outside, elements, broken }
  const { cosine, sqnr } = elements ? compare(b, a) : { cosine: 1, sqnr: Number.POSITIVE_INFINITY }
  return {
    maxAbs,
    maxRel: maxAbs === 0 ? 0 : maxAbs / (largest || Number.MIN_VALUE),
    cosine,
    sqnr,
    outside,
    elements,
    broken,
  }
}

/** Numbers from here on stand for infinity (what masks add to scores), and those from `LIMIT` on do so in float16. */
const INFINITE = 1e30
const LIMIT = 65472

/** Makes hidden rows zero in both. */
function blank(hidden: readonly boolean[], ...arrays: readonly Float32Array[]): void {
  for (const array of arrays) {
    const width = array.length / hidden.length
    for (const [row, isHidden] of hidden.entries()) if (isHidden) array.fill(0, row * width, (row + 1) * width)
  }
}

/** The worse of two differences in every measure. */
export function worse(a: Difference, b: Difference): Difference {
  const mismatch = a.mismatch ?? b.mismatch
  return {
    ...(mismatch === undefined ? {} : { mismatch }),
    maxAbs: Math.max(a.maxAbs, b.maxAbs),
    maxRel: Math.max(a.maxRel, b.maxRel),
    cosine: Math.min(a.cosine, b.cosine),
    sqnr: Math.min(a.sqnr, b.sqnr),
    outside: a.outside + b.outside,
    elements: a.elements + b.elements,
    broken: a.broken + b.broken,
  }
}

/** A fresh copy of the elements as float32; 64-bit integers are rounded. */
function numbersOf(tensor: Tensor): Float32Array<ArrayBuffer> {
  if (tensor.dtype === 'float32') return new Float32Array(new Uint8Array(tensor.bytes()).buffer)
  return Float32Array.from(tensor.toNumbers())
}

/** The feed in another float or integer type, if the model asks for one. */
export function asType(tensor: Tensor, type: string): Tensor {
  const isInteger = (dtype: string | undefined): boolean => /^u?int/.test(dtype ?? '')
  const isAlike = (isFloat(tensor.dtype) && isFloat(type as 'float32')) || (isInteger(tensor.dtype) && isInteger(type))
  if (!isAlike || tensor.dtype === type) return tensor
  return Tensor.from(type as 'float32', tensor.dims, tensor.toNumbers())
}
