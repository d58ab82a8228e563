/** The integer types that linear quantization writes. */
export type QuantizedType = 'int8' | 'uint8' | 'int16' | 'uint16' | 'int4' | 'uint4'

/** First and last code of a type: all of them, those used by symmetric and by reduced-range quantization. */
export const CODE_RANGES: Readonly<
  Record<QuantizedType, Record<'full' | 'symmetric' | 'reduced', readonly [number, number]>>
> = {
  uint8: { full: [0, 255], symmetric: [0, 255], reduced: [0, 127] },
  int8: { full: [-128, 127], symmetric: [-127, 127], reduced: [-64, 64] },
  uint16: { full: [0, 65535], symmetric: [0, 65535], reduced: [0, 32767] },
  int16: { full: [-32768, 32767], symmetric: [-32767, 32767], reduced: [-16384, 16384] },
  uint4: { full: [0, 15], symmetric: [0, 15], reduced: [0, 7] },
  int4: { full: [-8, 7], symmetric: [-8, 7], reduced: [-4, 3] },
}

/** How a range becomes scale and zero point. */
export interface ScaleOptions {
  readonly type: QuantizedType
  /** Zero in the middle of the range. Default: true for signed types. */
  readonly symmetric?: boolean | undefined
  /** One bit less, for kernels that saturate. Takes precedence over the symmetric range. Default false. */
  readonly reduceRange?: boolean | undefined
  /** The least width a range is taken to have. Default: none. */
  readonly minimumRealRange?: number | undefined
  /** The type of the scale, which is rounded to it. Default float32. */
  readonly scaleType?: 'float32' | 'float16' | undefined
}

/** One scale and zero point. */
export interface ScaleZeroPoint {
  readonly scale: number
  readonly zeroPoint: number
}

const SMALLEST_NORMAL = { float32: 2 ** -126, float16: 2 ** -14 } as const

/**
 * Scale and zero point for values in `min`..`max`, as in ONNX Runtime's quantization tools: the range is made to contain
 * zero (and to be symmetric or wide enough, where asked), divided by the number of steps in double precision, and only
 * the result is rounded to the scale's type. A range too narrow for a normal scale gives scale 1 and, unless symmetric, zero point 0.
 */
export function scaleZeroPoint(min: number, max: number, options: ScaleOptions): ScaleZeroPoint {
  const found = { scales: new Float64Array(1), zeroPoints: new Int32Array(1) }
  scaleZeroPointsInto(found, [min], [max], options)
  return { scale: found.scales[0]!, zeroPoint: found.zeroPoints[0]! }
}

function scaleZeroPointsInto(
  { scales, zeroPoints }: { scales: Float32Array | Float64Array; zeroPoints: Int32Array },
  min: ArrayLike<number>,
  max: ArrayLike<number>,
  options: ScaleOptions,
): void {
  const { type, reduceRange, minimumRealRange, scaleType = 'float32' } = options
  const symmetric = options.symmetric ?? type.startsWith('int')
  const [first, last] = CODE_RANGES[type][reduceRange ? 'reduced' : symmetric ? 'symmetric' : 'full']
  const middle = roundHalfEven((first + last) / 2)
  for (let i = 0; i < scales.length; i++) {
    if (!(Number.isFinite(min[i]) && Number.isFinite(max[i]) && min[i]! <= max[i]!))
      throw new RangeError(`no scale for values from ${min[i]} to ${max[i]}`)
    let low = Math.min(min[i]!, 0)
    let high = Math.max(max[i]!, 0)
    if (minimumRealRange !== undefined) high = Math.max(high, low + minimumRealRange)
    if (symmetric) {
      high = Math.max(-low, high)
      low = -high
    }
    const scale = (high - low) / (last - first)
    if (scale < SMALLEST_NORMAL[scaleType]) {
      scales[i] = 1
      zeroPoints[i] = symmetric ? middle : 0
    } else {
      scales[i] = scaleType === 'float16' ? roundToFloat16(scale) : Math.fround(scale)
      zeroPoints[i] = symmetric ? middle : roundHalfEven(first - low / scale)
    }
  }
}

/** Scales and zero points of all channels. */
export interface ChannelScales {
  readonly scales: Float32Array<ArrayBuffer>
  readonly zeroPoints: Int32Array<ArrayBuffer>
}

/** `scaleZeroPoint` of every channel; channels without a value (or only NaN) count as all zero. */
export function scaleZeroPoints(min: Float32Array, max: Float32Array, options: ScaleOptions): ChannelScales {
  const scales = new Float32Array(min.length)
  const zeroPoints = new Int32Array(min.length)
  const low = min.map((value, i) => (value <= max[i]! ? value : 0))
  const high = max.map((value, i) => (min[i]! <= value ? value : 0))
  scaleZeroPointsInto({ scales, zeroPoints }, low, high, options)
  return { scales, zeroPoints }
}

/** Nearest integer, ties to the even one. */
export function roundHalfEven(x: number): number {
  const down = Math.floor(x)
  const above = x - down
  if (above !== 0.5) return Math.round(x) + 0
  return down % 2 === 0 ? down + 0 : down + 1
}

/** Nearest float16 value, ties to even; infinite from 65520 on. */
export function roundToFloat16(x: number): number {
  const magnitude = Math.abs(x)
  if (!(magnitude > 0 && magnitude < Number.POSITIVE_INFINITY)) return x
  const exponent = Math.max(-14, Math.floor(Math.log2(magnitude)))
  const unit = 2 ** (exponent - 10)
  const rounded = roundHalfEven(magnitude / unit) * unit
  return Math.sign(x) * (rounded >= 65520 ? Number.POSITIVE_INFINITY : rounded)
}
