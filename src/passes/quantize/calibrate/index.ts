import type { Model } from '../../../graph/model.ts'
import type { Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import type { FloatType } from '../../../kernels/index.ts'
import type { CalibrationData, Feeds } from './data/index.ts'
import { distribution } from './methods/distribution.ts'
import { entropy } from './methods/entropy.ts'
import { minMax } from './methods/min-max.ts'
import { mse } from './methods/mse.ts'
import { percentile, percentileAsymmetric } from './methods/percentile.ts'
import type { Method, MethodOptions, Range } from './methods/types.ts'
import { type Observer, observe } from './observe.ts'
import {
  addCounts,
  addRange,
  addSampleCounts,
  addSquares,
  addStatistics,
  addSummary,
  emptyStatistics,
  MASKS,
  type MaskLimits,
  NO_MASKS,
  type Statistics,
} from './statistics.ts'
import { builtWorker, CalibrationThreads, threadsFor } from './threads.ts'
import type { SampleTask } from './worker.ts'

export type { MethodOptions, Range } from './methods/types.ts'
export type { Statistics } from './statistics.ts'

export type MethodName = 'minmax' | 'entropy' | 'percentile' | 'mse' | 'distribution'

export interface CalibrateOptions extends MethodOptions {
  method: MethodName
  /** Leave values that are masks out of ranges. */
  masks: boolean
  threads: number
  signal?: AbortSignal | undefined
  /** The built worker of other threads. Default: beside this file; none when running from TypeScript sources. */
  worker?: URL | undefined
  /** Milliseconds after which other threads help, each with a session of its own. Default 1000. */
  aloneMs?: number | undefined
  /** 0..1, as far as that can be told while the number of samples is not known. */
  progress?: ((fraction: number) => void) | undefined
}

/** What calibration found out. */
export interface Calibration {
  ranges: ReadonlyMap<Value, Range>
  statistics: ReadonlyMap<Value, Statistics>
  samples: number
}

/** Starting threads, and opening the model in each, takes about as long. */
const ALONE_MS = 1000

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
  const counts = method.histogram !== 'none'
  // How many samples there are is not known at first: the bar nears its end.
  const first = (sample: number): void => options.progress?.(((counts ? 0.5 : 1) * sample) / (sample + TYPICAL_SAMPLES))
  let samples = 0
  const helpers = new Helpers(model, observer, limits, options)
  try {
    // The range must be known before values are counted in it: the data is read twice, nothing is kept.
    const source = data.open()[Symbol.asyncIterator]()
    samples = await observer.run(upTo(source, helpers.deadline()), (value, tensor, sample) => {
      const own = statistics.get(value)!
      if (value.graph.owner) addSummary(own, tensor.float32(), options.averageWeight)
      else {
        addRange(own, floatsOf(tensor), limits, options.averageWeight)
        addSquares(own, floatsOf(tensor), tensor.dims)
      }
      first(sample)
    })
    await helpers.rest(source, undefined, (result) => {
      if (!('statistics' in result)) return
      for (const [i, value] of values.entries())
        if (result.statistics[i]) addStatistics(statistics.get(value)!, result.statistics[i]!, options.averageWeight)
      first(samples++)
    })
    if (counts) {
      const magnitudes = method.histogram === 'magnitudes'
      let done = 0
      const second = (): void => options.progress?.(0.5 + done / samples / 2)
      const again = data.open()[Symbol.asyncIterator]()
      done = await observer.run(
        upTo(again, helpers.running ? 0 : Number.POSITIVE_INFINITY),
        (value, tensor, sample) => {
          if (!value.graph.owner) addCounts(statistics.get(value)!, floatsOf(tensor), options.bins, magnitudes)
          options.progress?.(0.5 + (sample + 1) / samples / 2)
        },
      )
      const ranges = values.map((value) => {
        const { min, max } = statistics.get(value)!
        return [min, max] as const
      })
      await helpers.rest(again, { bins: options.bins, magnitudes, ranges }, (result) => {
        if (!('counts' in result)) return
        for (const [i, value] of values.entries())
          if (result.counts[i]) addSampleCounts(statistics.get(value)!, result.counts[i]!, options.bins, magnitudes)
        done++
        second()
      })
    }
  } finally {
    await helpers.close()
    await observer.release()
  }
  options.progress?.(1)
  const ranges = new Map<Value, Range>()
  for (const [value, seen] of statistics)
    if (!Number.isNaN(seen.min)) ranges.set(value, (value.graph.owner ? minMax : method).range(seen, options))
  return { ranges, statistics, samples }
}

/** The samples of an iterator that are taken before a point in time (milliseconds as of `performance.now`). */
function upTo(samples: AsyncIterator<Feeds>, deadline: number): CalibrationData {
  return {
    async *open() {
      while (performance.now() < deadline) {
        const item = await samples.next()
        if (item.done) return
        yield item.value
      }
    },
  }
}

/** Other threads, which help once it is clear that the data takes its time. */
class Helpers {
  readonly #observer: Observer
  readonly #limits: MaskLimits
  readonly #options: CalibrateOptions
  readonly #count: number
  #threads: CalibrationThreads | undefined

  constructor(model: Model, observer: Observer, limits: MaskLimits, options: CalibrateOptions) {
    this.#observer = observer
    this.#limits = limits
    this.#options = options
    this.#count = threadsFor(model.weightBytes, options.threads)
  }

  get running(): boolean {
    return this.#threads !== undefined
  }

  /** When they should begin; never, if there are none. */
  deadline(): number {
    const worker = this.#options.worker ?? builtWorker()
    if (!worker || this.#count < 2) return Number.POSITIVE_INFINITY
    return performance.now() + (this.#options.aloneMs ?? ALONE_MS)
  }

  /** Runs what is left of the samples. */
  async rest(
    samples: AsyncIterator<Feeds>,
    histogram: SampleTask['histogram'],
    see: Parameters<CalibrationThreads['run']>[2],
  ): Promise<void> {
    const { worker = builtWorker(), threads, signal } = this.#options
    const item = await samples.next()
    if (item.done || !worker) return
    if (!this.#threads) {
      const model = await this.#observer.file()
      const watched = this.#observer.watched
      const each = Math.max(1, Math.floor(threads / this.#count))
      this.#threads = new CalibrationThreads(this.#count, worker, {
        model,
        threads: each,
        watched,
        limits: this.#limits,
      })
    }
    let given = false
    const all: AsyncIterator<Feeds> = {
      next: () => {
        if (given) return samples.next()
        given = true
        return Promise.resolve(item)
      },
    }
    await this.#threads.run(all, histogram, see, signal)
  }

  async close(): Promise<void> {
    await this.#threads?.close()
  }
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
