import { CODE_RANGES, type ScaleZeroPoint, scaleZeroPoint } from '../../../kernels/index.ts'
import type { Range } from '../calibrate/methods/types.ts'
import { type CodeType, FLOAT8_MAX, float8Scale, isFloat8 } from './float8.ts'
import type { StaticOptions, TensorOverride } from './settings.ts'

/** Scale and zero point of an activation. */
export interface ActivationParameters extends ScaleZeroPoint {
  type: CodeType
  scaleType: 'float32' | 'float16'
  /** Integer products read the activation by these instead. */
  narrow?: ActivationParameters
  /** Rounded once more for some readers, called by their nodes' names; undefined: for all. */
  convert?: { parameters: ActivationParameters; readers: readonly string[] | undefined } | undefined
}

/** Parameters of an activation from its range, options and what is said of it in particular. */
export function activationParameters(
  range: Range,
  scaleType: 'float32' | 'float16',
  options: StaticOptions,
  override: TensorOverride = {},
): ActivationParameters {
  const type = override.type ?? options.activationType
  if (isFloat8(type)) return { type, scaleType, scale: float8Scale(range.deviation ?? 0), zeroPoint: 0 }
  if (override.scale !== undefined)
    return { type, scaleType, scale: [override.scale].flat()[0]!, zeroPoint: [override.zeroPoint ?? 0].flat()[0]! }
  const min = override.min ?? range.min
  const max = override.max ?? range.max
  const symmetric = override.symmetric ?? options.activationSymmetric
  const { minimumRealRange } = options
  if (options.restrictedAsymmetric && type === 'uint8' && !symmetric)
    return { type, scaleType, ...restricted(min, max, minimumRealRange) }
  return { type, scaleType, ...scaleZeroPoint(min, max, { type, symmetric, scaleType, minimumRealRange }) }
}

/** uint8 with a zero point of 0 where no value is negative, else of 128. */
function restricted(min: number, max: number, minimumRealRange = 0): ScaleZeroPoint {
  const [first, last] = CODE_RANGES.uint8.full
  const middle = Math.floor((first + last + 1) / 2)
  const zeroPoint = min >= 0 ? first : middle
  const found = min >= 0 ? max / (last - first) : Math.max(-min / (middle - first), max / (last - middle))
  const scale = Math.max(found, minimumRealRange / (last - first))
  return scale > 0 ? { scale: Math.fround(scale), zeroPoint } : { scale: 1, zeroPoint }
}

/** The values that the codes of these parameters stand for. */
export function representable({ type, scale, zeroPoint }: ActivationParameters): Range {
  if (isFloat8(type)) return { min: -FLOAT8_MAX * scale, max: FLOAT8_MAX * scale }
  const [first, last] = CODE_RANGES[type].full
  return { min: (first - zeroPoint) * scale, max: (last - zeroPoint) * scale }
}
