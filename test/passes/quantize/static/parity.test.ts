import { describe, expect, test } from 'vitest'
import type { StaticOptions } from '../../../../src/passes/quantize/static/settings.ts'
import { type GoldenSetting, golden } from '../../../support/golden.ts'
import { hasShared, shared } from '../../../support/shared.ts'
import { optimizedBasic, quantizeStatic, REFERENCE } from '../../../support/static.ts'

interface StaticGolden extends GoldenSetting {
  options: GoldenSetting['options'] & {
    input: string
    quant_format?: string
    calibrate_method?: string
    activation_type?: string
    op_types_to_quantize?: string[]
    extra_options?: Record<string, unknown>
  }
}

const typeOf = (name = 'QInt8'): never => name.replace('Q', '').toLowerCase() as never

/** The reference's setting in options of this project. */
function optionsOf({ options }: StaticGolden): Partial<StaticOptions> {
  const extra = options.extra_options ?? {}
  const weightType = typeOf(options.weight_type) as 'int8' | 'uint8'
  return {
    ...REFERENCE,
    perChannel: options.per_channel === true,
    reduceRange: options.reduce_range === true,
    activationType: typeOf(options.activation_type),
    weightType,
    // Per channel the reference is symmetric whatever the type.
    weightSymmetric: weightType === 'int8' || options.per_channel === true,
    calibrationMethod: (options.calibrate_method ?? 'MinMax').toLowerCase() as 'minmax',
    activationSymmetric: extra['ActivationSymmetric'] === true,
    pairOnWeights: extra['AddQDQPairToWeight'] === true,
    dedicatedPairs: extra['DedicatedQDQPair'] === true,
    movingAverage: extra['CalibMovingAverage'] === true,
    ...(extra['CalibPercentile'] ? { calibrationPercentile: extra['CalibPercentile'] as number } : {}),
    ...(options.op_types_to_quantize ? { ops: options.op_types_to_quantize } : {}),
  }
}

/**
 * Left out: Entropy, whose default bins make the reference equal to MinMax; and dedicated pairs of a transformer, where the
 * reference counts a node that reads a tensor twice as two.
 */
function isComparable(name: string, { error, options }: StaticGolden): boolean {
  if (error || options.input !== 'pre' || options.quant_format === 'QOperator') return false
  if (options.calibrate_method === 'Entropy') return false
  return !(name === 'digits-vit' && options.extra_options?.['DedicatedQDQPair'])
}

describe.skipIf(!hasShared)('the same recipe gives what the reference tool gives', () => {
  test.each([
    ['digits-cnn', 'digits-calib'],
    ['digits-vit', 'digits-calib'],
  ])('%s', { timeout: 120_000 }, async (name, data) => {
    let compared = 0
    for (const [setting, reference] of Object.entries(golden(name)['static'] as Record<string, StaticGolden>)) {
      if (!isComparable(name, reference)) continue
      const model = await optimizedBasic(shared(`own/${name}.onnx`))
      await quantizeStatic(model, { ...optionsOf(reference), calibration: shared(`own/${data}.npz`) })
      // 16 bits: the reference raises the opset, here they take ONNX Runtime's own operators.
      const ops = Object.fromEntries(
        Object.entries(model.histogram()).map(([op, count]) => [op.replace('com.microsoft:', ''), count]),
      )
      expect.soft([setting, ops]).toEqual([setting, reference.ops])
      const constants = new Map([...model.graph.initializers].map(({ name, tensor }) => [name, tensor!]))
      for (const [parameter, { values, first }] of Object.entries(reference.qparams)) {
        const expected = values ?? first!
        const actual = constants.get(parameter)?.toNumbers().slice(0, expected.length) ?? []
        expect.soft(actual.length, `${setting} ${parameter}`).toBe(expected.length)
        // Zero points of ranges around zero lie between two codes: the last bit of a sum decides.
        const tolerance = parameter.endsWith('_zero_point') ? () => 1 : (value: number) => 1e-4 * value
        actual.forEach((value, i) => {
          expect
            .soft(Math.abs(value - expected[i]!), `${setting} ${parameter}`)
            .toBeLessThanOrEqual(tolerance(expected[i]!))
        })
      }
      compared++
    }
    expect(compared).toBeGreaterThan(10)
  })

  test('digits-cnn as integer operators', { timeout: 60_000 }, async () => {
    let compared = 0
    for (const [setting, reference] of Object.entries(golden('digits-cnn')['static'] as Record<string, StaticGolden>)) {
      const { input, quant_format: format, calibrate_method: method } = reference.options
      if (input !== 'pre' || format !== 'QOperator' || method === 'Entropy') continue
      const model = await optimizedBasic(shared('own/digits-cnn.onnx'))
      const options = { ...optionsOf(reference), quantFormat: 'qoperator' } as const
      await quantizeStatic(model, { ...options, calibration: shared('own/digits-calib.npz') })
      expect.soft([setting, model.histogram()]).toEqual([setting, reference.ops])
      compared++
    }
    expect(compared).toBe(4)
  })
})
