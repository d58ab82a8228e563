import type { Model } from '../../../graph/model.ts'
import type { Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import type { FloatType } from '../../../kernels/index.ts'
import type { CalibrationData } from './data/index.ts'
import { distribution } from './methods/distribution.ts'
import { entropy } from './methods/entropy.ts'
import { minMax } from './methods/min-max.ts'
import { mse } from './methods/mse.ts'
import { percentile, percentileAsymmetric } from './methods/percentile.ts'
import type { Method, MethodOptions, Range } from './methods/types.ts'
import { observe } from './observe.ts'
import {
  addCounts,
  addRange,
  addSquares,
  addSummary,
  emptyStatistics,
  MASKS,
  NO_MASKS,
  type Statistics,
} from './statistics.ts'

export type { MethodOptions, Range } from './methods/types.ts'
export type { Statistics } from './statistics.ts'

export type MethodName = 'minmax' | 'entropy' | 'percentile' | 'mse' | 'distribution'

export interface CalibrateOptions extends MethodOptions {
  method: MethodName
  /** Leave values that are masks out of ranges. */
  masks: boolean
  threads: number
  signal?: AbortSignal | undefined
  /** 0..1, as far as that can be told while the number of samples is not known. */
  progress?: ((fraction: number) => void) | undefined
}

/** What calibration found out. */
export interface Calibration {
  ranges: ReadonlyMap<Value, Range>
  statistics: ReadonlyMap<Value, Statistics>
  samples: number
}

/** For progress, as long as the number of samples is not known. */
const TYPICAL_SAMPLES = 32

/**
 * Finds the range of float values by running the model on data. Values that were never seen have no range. In bodies of If, Loop and
 * Scan it is always that of the extremes.
 */
export async function calibrate(
  model: Model,
  values: readonly Value[],
  data: CalibrationData,
  options: CalibrateOptions,
): Promise<Calibration> {
  const method = methodOf(options)
  const statistics = new Map<Value, Statistics>(values.map((value) => [value, emptyStatistics()]))
  const limits = options.masks ? MASKS : NO_MASKS
  const observer = await observe(model, values, { ...options, limits })
  let samples = 0
  try {
    // The range must be known before values are counted in it: the data is read twice, nothing is kept.
    const part = method.histogram === 'none' ? 1 : 0.5
    samples = await observer.run(data, (value, tensor, sample) => {
      const own = statistics.get(value)!
      if (value.graph.owner) addSummary(own, tensor.float32(), options.averageWeight)
      else {
        addRange(own, floatsOf(tensor), limits, options.averageWeight)
        addSquares(own, floatsOf(tensor), tensor.dims)
      }
      // How many samples there are is not known: the bar nears its end.
      options.progress?.((part * sample) / (sample + TYPICAL_SAMPLES))
    })
    if (method.histogram !== 'none') {
      const { histogram } = method
      await observer.run(data, (value, tensor, sample) => {
        if (!value.graph.owner)
          addCounts(statistics.get(value)!, floatsOf(tensor), options.bins, histogram === 'magnitudes')
        options.progress?.(0.5 + (sample + 1) / samples / 2)
      })
    }
  } finally {
    await observer.release()
  }
  options.progress?.(1)
  const ranges = new Map<Value, Range>()
  for (const [value, seen] of statistics)
    if (!Number.isNaN(seen.min)) ranges.set(value, (value.graph.owner ? minMax : method).range(seen, options))
  return { ranges, statistics, samples }
}

function methodOf({ method, symmetric }: CalibrateOptions): Method {
  switch (method) {
    case 'minmax':
      return minMax
    case 'entropy':
      return entropy
    case 'percentile':
      return symmetric ? percentile : percentileAsymmetric
    case 'mse':
      return mse
    case 'distribution':
      return distribution
  }
}

function floatsOf(tensor: Tensor): { dtype: FloatType; bytes: Uint8Array } {
  return { dtype: tensor.dtype as FloatType, bytes: tensor.bytes() }
}
