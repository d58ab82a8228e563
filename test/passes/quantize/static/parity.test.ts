import { existsSync } from 'node:fs'
import { afterAll, describe, expect, test } from 'vitest'
import { readModel } from '../../../../src/graph/import.ts'
import type { Model } from '../../../../src/graph/model.ts'
import type { StaticOptions } from '../../../../src/passes/quantize/static/settings.ts'
import { type GoldenSetting, golden } from '../../../support/golden.ts'
import { readTensors } from '../../../support/npz.ts'
import { hasShared, shared } from '../../../support/shared.ts'
import { jsonFile, optimizedBasic, quantizeStatic, REFERENCE } from '../../../support/static.ts'

interface StaticGolden extends GoldenSetting {
  options: GoldenSetting['options'] & {
    input: 'pre' | 'as-is'
    feeds: string
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
  const method = options.calibrate_method ?? 'MinMax'
  return {
    ...REFERENCE,
    perChannel: options.per_channel === true,
    reduceRange: options.reduce_range === true,
    activationType: typeOf(options.activation_type),
    weightType,
    // Per channel the reference is symmetric whatever the type.
    weightSymmetric: weightType === 'int8' || options.per_channel === true,
    calibrationMethod: method.toLowerCase() as 'minmax',
    quantFormat: (options.quant_format ?? 'QDQ').toLowerCase() as 'qdq',
    activationSymmetric: extra['ActivationSymmetric'] === true,
    pairOnWeights: extra['AddQDQPairToWeight'] === true,
    dedicatedPairs: extra['DedicatedQDQPair'] === true,
    movingAverage: extra['CalibMovingAverage'] === true,
    ...(method === 'Entropy' ? { calibrationBins: 128, calibrationQuantizedBins: 128 } : {}),
    ...(extra['CalibPercentile'] ? { calibrationPercentile: extra['CalibPercentile'] as number } : {}),
    ...(options.op_types_to_quantize ? { ops: options.op_types_to_quantize } : {}),
  }
}

/** The data that the reference was calibrated with. */
function dataOf(name: string, { options }: StaticGolden): string {
  if (!name.startsWith('tiny')) return shared(`own/${name.split('-')[0]}-calib.npz`)
  const cases = options.feeds === 'first case only' ? [''] : ['', '2', '3']
  const lines = cases.flatMap((number) => {
    const file = shared(`own/${name}-inputs${number}.npz`)
    if (!existsSync(file)) return []
    const feeds = [...readTensors(file)].map(([input, tensor]) => [
      input,
      { dims: [...tensor.dims], data: tensor.toNumbers().map(Number) },
    ])
    return [JSON.stringify(Object.fromEntries(feeds))]
  })
  return jsonFile('cases.jsonl', lines.join('\n'))
}

/** The model that the reference quantized. Where its pre-processing failed, that is the model as it was. */
async function sourceOf(name: string, { options }: StaticGolden): Promise<Model> {
  const file = shared(`own/${name}.onnx`)
  const prepared = golden(name)['quant_pre_process'] as unknown as { ops: Record<string, number> } | undefined
  return options.input === 'pre' && !prepared?.ops['Constant'] ? optimizedBasic(file) : readModel(file)
}

/** One way in which the result differs from the reference's. */
interface Difference {
  model: string
  setting: string
  /** `op NAME`, `missing NAME`, `scale NAME` or `zero point NAME`. */
  what: string
  actual: number
  expected: number
}

/** Differences that are meant, and why. */
const MEANT: { why: string; applies(difference: Difference, all: readonly Difference[]): boolean }[] = [
  {
    why: 'Constants of Constant nodes are quantized when the model is built, not by a QuantizeLinear at every run',
    applies: ({ what }, all) =>
      what === 'op Constant' ||
      (what === 'op QuantizeLinear' && all.some((other) => other.what === 'op Constant')) ||
      /^(scale|zero point) .*Constant(_\d+)?_output_0/.test(what),
  },
  {
    why: 'BatchNormalization that is left in a model is folded into the convolution before it, whose weights have other scales then',
    applies: ({ what }, all) =>
      all.some((other) => other.what === 'op BatchNormalization') &&
      (/^op (BatchNormalization|Relu|(Q|Deq)uantizeLinear)$/.test(what) ||
        /^(scale|missing|zero point) .*(\.weight_|\.bias_|Conv_output_0_)/.test(what)),
  },
  {
    why: 'The same for the scale of InstanceNormalization, so that its bias can be int32',
    applies: ({ model, what, setting }) =>
      model === 'tiny-unet' && /^op (Q|Deq)uantizeLinear$/.test(what) && !/QOperator/.test(setting),
  },
  {
    why: 'Ranges with masks: a sum with -3.4e38 that is infinite is no part of a range; there the reference has zero point 0',
    applies: ({ what, expected }) => what.startsWith('zero point') && expected === 0,
  },
  {
    why: 'Inputs that are empty in one sample have the range of the others; there the reference has scale 1',
    applies: ({ what, expected, setting, model }) =>
      what.startsWith('scale') && expected === 1 && /MovingAvg/.test(setting) && /past/.test(model),
  },
  {
    why: 'Scales and zero points that no operator reads are not written',
    applies: ({ what, setting }) => what.startsWith('missing') && /QOperator/.test(setting),
  },
  {
    why: 'Where is quantized between constants and quantized tensors, in the reference only between the latter',
    applies: ({ what, setting }, all) =>
      /^op (QLinear)?Where$/.test(what) ||
      (/^op DequantizeLinear$/.test(what) && all.some((other) => /Where/.test(other.what))) ||
      (/tf5/.test(all[0]!.model) && /^op (Q|Deq)uantizeLinear$/.test(what) && !/QOperator/.test(setting)),
  },
  {
    why: 'A node that reads a tensor twice gets one pair of its own',
    applies: ({ what, setting }) => /dedicated/.test(setting) && /^op (Q|Deq)uantizeLinear$/.test(what),
  },
  {
    why: 'The pre-processing of the reference folds shapes that it found symbolically, here they are computed',
    applies: ({ what }, all) =>
      what === 'op Concat' ||
      (/^op (Q|Deq)uantizeLinear$/.test(what) && all.some((other) => other.what === 'op Concat')),
  },
  {
    why: 'Codes that are moved by Slice and Concat go on as codes; the reference takes them back to floats in between',
    applies: ({ what, setting, model }) =>
      /QOperator/.test(setting) && /llama|clip|lora|unet/.test(model) && /^op (Q|Deq)uantizeLinear$/.test(what),
  },
  {
    why: 'The edge of a percentile may fall into the next of 2048 bins',
    applies: ({ what, setting, actual, expected }) =>
      /Percentile/.test(setting) && (what.startsWith('zero') || Math.abs(actual - expected) < expected / 1000),
  },
]

async function differences(model: string, setting: string, reference: StaticGolden): Promise<Difference[]> {
  const result = await sourceOf(model, reference)
  await quantizeStatic(result, { ...optionsOf(reference), calibration: dataOf(model, reference) })
  const found: Difference[] = []
  const add = (what: string, actual: number, expected: number): void =>
    void found.push({ model, setting, what, actual, expected })
  // 16 bits: the reference raises the opset, here they take ONNX Runtime's own operators.
  const plain = (ops: Record<string, number>): Record<string, number> =>
    Object.fromEntries(Object.entries(ops).map(([op, count]) => [op.replace('com.microsoft:', ''), count]))
  const [actual, expected] = [plain(result.histogram()), plain(reference.ops)]
  for (const op of new Set([...Object.keys(actual), ...Object.keys(expected)]))
    if (actual[op] !== expected[op]) add(`op ${op}`, actual[op] ?? 0, expected[op] ?? 0)
  const constants = new Map([...result.graph.initializers].map(({ name, tensor }) => [name, tensor!]))
  for (const [parameter, { values, first }] of Object.entries(reference.qparams)) {
    const wanted = values ?? first!
    const numbers = constants.get(parameter)?.toNumbers().slice(0, wanted.length)
    if (!numbers) add(`missing ${parameter}`, 0, 0)
    const isZeroPoint = parameter.endsWith('_zero_point')
    numbers?.forEach((value, i) => {
      // Zero points of ranges around zero lie between two codes: the last bit of a sum decides.
      const tolerance = isZeroPoint ? 1 : 1e-4 * Math.abs(wanted[i]!)
      if (Math.abs(value - wanted[i]!) > tolerance)
        add(`${isZeroPoint ? 'zero point' : 'scale'} ${parameter}`, value, wanted[i]!)
    })
  }
  return found
}

const MODELS = [
  'digits-cnn',
  'digits-vit',
  'tiny-bert',
  'tiny-bert-tf5',
  'tiny-clip-text',
  'tiny-gpt2',
  'tiny-gpt2-past',
  'tiny-llama',
  'tiny-llama-past',
  'tiny-lora',
  'tiny-t5-encoder',
  'tiny-unet',
  'tiny-vit',
  'minilm',
]

describe.skipIf(!hasShared)('the same recipe gives what the reference tool gives', () => {
  const used = new Set<string>()
  let ran = 0
  test.each(MODELS)('%s: operators, scales and zero points', { timeout: 240_000 }, async (name) => {
    ran++
    let compared = 0
    for (const [setting, reference] of Object.entries(golden(name)['static'] as Record<string, StaticGolden>)) {
      if (reference.error) continue
      const found = await differences(name, setting, reference)
      const unexplained = found.filter((difference) => {
        const reason = MEANT.find(({ applies }) => applies(difference, found))
        if (reason) used.add(reason.why)
        return !reason
      })
      expect.soft(unexplained).toEqual([])
      compared++
    }
    expect(compared).toBeGreaterThan(name === 'minilm' ? 12 : 15)
  })

  afterAll(() => {
    if (ran === MODELS.length) expect(MEANT.map(({ why }) => why).filter((why) => !used.has(why))).toEqual([])
  })
})
