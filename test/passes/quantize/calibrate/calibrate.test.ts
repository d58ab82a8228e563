import { describe, expect, test } from 'vitest'
import { Tensor } from '../../../../src/graph/tensor.ts'
import type { Value } from '../../../../src/graph/value.ts'
import type { CalibrationData } from '../../../../src/passes/quantize/calibrate/data/index.ts'
import { type CalibrateOptions, type Calibration, calibrate } from '../../../../src/passes/quantize/calibrate/index.ts'
import { golden } from '../../../support/golden.ts'
import { buildModel } from '../../../support/models.ts'
import { hasShared, shared } from '../../../support/shared.ts'
import { DEFAULTS, optimizedBasic, quantizeStatic, REFERENCE } from '../../../support/static.ts'

const OPTIONS: CalibrateOptions = {
  method: 'minmax',
  masks: true,
  threads: 1,
  bins: 2048,
  quantizedBins: 128,
  percentile: 99.9,
  symmetric: false,
  movingAverage: false,
  levels: 255,
}

/** The range of `x + 0` for these samples. */
async function rangeOf(
  samples: readonly (readonly number[])[],
  options: Partial<CalibrateOptions> = {},
): Promise<{ min: number; max: number } & Pick<Calibration, 'samples'> & { seen: { masks: number; nan: number } }> {
  let value: Value | undefined
  const model = buildModel(17, (graph, input) => {
    value = graph.insert({ op: 'Identity', inputs: [input('x', ['n'])] }).output()
    return [value]
  })
  const data: CalibrationData = {
    async *open() {
      for (const sample of samples) yield { x: Tensor.float32([sample.length], [...sample]) }
    },
  }
  const { ranges, statistics, samples: count } = await calibrate(model, [value!], data, { ...OPTIONS, ...options })
  const { masks, nan } = statistics.get(value!)!
  const { min, max } = ranges.get(value!) ?? { min: Number.NaN, max: Number.NaN }
  return { min, max, samples: count, seen: { masks, nan } }
}

/** A bell curve from -4 to 4 with `outliers` at its end. */
const bell = (count: number, ...outliers: number[]): number[] => [
  ...Array.from({ length: count }, (_, i) => {
    const part = (i + 0.5) / count
    return Math.log(part / (1 - part)) / 1.7
  }),
  ...outliers,
]

describe('ranges', () => {
  test('minmax: the extremes of all samples, which may differ in shape', async () => {
    expect(await rangeOf([[1, -2, 3], [0.5], [-1, 5]])).toMatchObject({ min: -2, max: 5, samples: 3 })
  })

  test('moving average with a constant: the first sample, then a part of every further one', async () => {
    const samples = [
      [0, 8],
      [-4, 4],
      [-4, 0],
    ]
    // 0 -> -1 -> -1.75 and 8 -> 7 -> 5.25.
    expect(await rangeOf(samples, { movingAverage: true, averageWeight: 0.25 })).toMatchObject({
      min: -1.75,
      max: 5.25,
    })
  })

  test('moving average: every sample counts alike', async () => {
    expect(
      await rangeOf(
        [
          [-1, 1],
          [-3, 5],
        ],
        { movingAverage: true },
      ),
    ).toMatchObject({ min: -2, max: 3 })
  })

  test('masks are no part of ranges, NaN and infinity neither', async () => {
    const samples = [[-3.4028234663852886e38, -1e9, -1, 2, Number.NaN, Number.POSITIVE_INFINITY]]
    expect(await rangeOf(samples)).toMatchObject({ min: -1, max: 2, seen: { masks: 2, nan: 1 } })
    expect((await rangeOf(samples, { masks: false })).min).toBeLessThan(-3.4e38)
  })

  test('nothing finite: no range', async () => {
    expect((await rangeOf([[Number.NaN]])).min).toBeNaN()
  })

  test.each(['minmax', 'mse', 'entropy', 'percentile', 'distribution'] as const)('%s: zeros', async (method) => {
    expect(await rangeOf([[0, 0, 0]], { method })).toMatchObject({ min: 0, max: 0 })
  })

  test.each(['mse', 'entropy', 'percentile', 'distribution'] as const)('%s cuts an outlier off', async (method) => {
    const { min, max } = await rangeOf([bell(20_000), bell(20_000, 60)], { method, percentile: 99.9, levels: 15 })
    expect(max).toBeLessThan(30)
    expect(max).toBeGreaterThan(1.5)
    expect(min).toBeGreaterThan(-10)
    expect(min).toBeLessThan(-1.5)
  })

  test('entropy with as many bins as quantized ones has one candidate: everything', async () => {
    const { max } = await rangeOf([bell(1000, 60)], { method: 'entropy', bins: 128 })
    expect(max).toBe(60)
  })

  test('mse leaves a range alone that fits', async () => {
    const uniform = Array.from({ length: 1000 }, (_, i) => i / 1000 - 0.5)
    const { min, max } = await rangeOf([uniform], { method: 'mse' })
    expect(min).toBeCloseTo(-0.5, 2)
    expect(max).toBeCloseTo(0.5, 2)
  })

  test('a percentile is symmetric if asked', async () => {
    const { min, max } = await rangeOf([bell(10_000)], { method: 'percentile', symmetric: true, percentile: 90 })
    expect(min).toBeCloseTo(-max, 6)
  })
})

describe.skipIf(!hasShared)('ranges are those of the reference tool', () => {
  test.each([
    ['MinMax', {}],
    ['Percentile', { calibrationMethod: 'percentile' }],
    ['Percentile-99.9', { calibrationMethod: 'percentile', calibrationPercentile: 99.9 }],
    ['MinMax-sym', { calibrationSymmetric: true }],
    ['MinMax-moving', { movingAverage: true }],
  ] as const)('%s', async (setting, options) => {
    const sections = golden('digits-cnn') as unknown as Record<
      string,
      Record<string, { ranges: Record<string, [number, number]> }>
    >
    const { ranges } = sections['calib_extra']![setting] ?? sections['calibration']![`pre-${setting}`]!
    const model = await optimizedBasic(shared('own/digits-cnn.onnx'))
    const result = await quantizeStatic(model, {
      ...DEFAULTS,
      ...REFERENCE,
      ...options,
      calibration: shared('own/digits-calib.npz'),
      keepActivations: true,
    })
    let compared = 0
    for (const [name, [min, max]] of Object.entries(ranges)) {
      const actual = result.ranges[name]
      // A Relu passes its range on to what it alone reads.
      if (!actual || name.includes('BatchNormalization') || name.includes('Add_output') || name.includes('Conv_output'))
        continue
      expect(actual[0]).toBeCloseTo(min, 3)
      expect(actual[1]).toBeCloseTo(max, 3)
      compared++
    }
    expect(compared).toBeGreaterThan(5)
  })
})
