import { describe, expect, test } from 'vitest'
import { float, int } from '../../../../src/graph/attributes.ts'
import type { Model } from '../../../../src/graph/model.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import { compare } from '../../../../src/kernels/index.ts'
import { ACCELERATOR_PRESETS } from '../../../../src/options/presets.ts'
import { createOrtService } from '../../../../src/ort/service.ts'
import { OPTIONAL_OPERATORS } from '../../../../src/passes/quantize/static/operators.ts'
import type { StaticOptions } from '../../../../src/passes/quantize/static/settings.ts'
import { buildModel, copyOf, runModel } from '../../../support/models.ts'
import { quantizeStatic, samplesOf } from '../../../support/static.ts'

const ALL = { ops: ['*'], allOps: true, sparePairs: false } as const

/** Operators with one input of `[1, 4, 6, 6]`, from -1 to 1 or (`positive`) from 0 to 1. */
const UNARY: Record<
  string,
  { positive?: boolean; attributes?: Record<string, ReturnType<typeof int>>; opset?: number }
> = {
  ...Object.fromEntries(
    `Abs Asin Asinh Atan Ceil Celu Cos Cosh Elu Erf Exp Floor HardSigmoid HardSwish Hardmax LogSoftmax Mish Neg Round Selu Sign Sin Sinh
    Softplus Softsign Tan Tanh Identity MeanVarianceNormalization ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceSum ReduceSumSquare
    ThresholdedRelu GlobalMaxPool LpNormalization`
      .split(/\s+/)
      .map((op) => [op, {}]),
  ),
  Sqrt: { positive: true },
  Gelu: { opset: 20 },
  Trilu: {},
  DepthToSpace: { attributes: { blocksize: int(2) } },
  SpaceToDepth: { attributes: { blocksize: int(2) } },
  LRN: { attributes: { size: int(3), alpha: float(0.1) } },
}

function modelOf(op: string): Model {
  const { positive, attributes = {}, opset = 18 } = UNARY[op]!
  return buildModel(opset, (graph, input) => {
    const x = input('x', [1, 4, 6, 6])
    const given = positive ? graph.insert({ op: 'Abs', inputs: [x] }).output() : x
    return [graph.insert({ op, inputs: [given], attributes, name: 'node' }).output()]
  })
}

describe('operators that are quantized on request', () => {
  test.each(Object.keys(UNARY))('%s between pairs computes the same to rounding', async (op) => {
    expect(OPTIONAL_OPERATORS).toContain(op)
    const original = modelOf(op)
    const { calibration, x } = samplesOf(1, 4, 6, 6)
    const expected = Object.values(await runModel(original, { x }))[0]!
    const model = copyOf(original)
    await quantizeStatic(model, { calibration, ...ALL, forceInputs: true, activationType: 'uint16' })
    const node = [...model.graph.nodes()].find(({ name }) => name === 'node')!
    expect(node.input(0)!.producer?.opType).toBe('DequantizeLinear')
    const session = await createOrtService().open(copyOf(model), { graphOptimizationLevel: 'all' })
    const actual = Object.values(await session.run({ x }))[0]!
    await session.release()
    expect(actual.dims).toEqual(expected.dims)
    // Steps of functions with jumps may come out on the other side.
    const jumps = ['Ceil', 'Floor', 'Round', 'Sign', 'Hardmax', 'ThresholdedRelu'].includes(op)
    expect(compare(expected.float32(), actual.float32()).sqnr).toBeGreaterThan(jumps ? 15 : 40)
  })

  test('only if they are named, or all are', async () => {
    const pairs = async (options: Partial<StaticOptions>): Promise<number> => {
      const model = modelOf('Tanh')
      await quantizeStatic(model, { ...samplesOf(1, 4, 6, 6), ...options })
      return model.histogram()['QuantizeLinear'] ?? 0
    }
    expect(await pairs({ allOps: true, sparePairs: false })).toBe(0)
    expect(await pairs({ allOps: true, sparePairs: false, ops: ['Tanh'] })).toBe(2)
    expect(await pairs(ALL)).toBe(2)
    expect(await pairs({ ...ALL, excludeOps: ['Tanh'] })).toBe(0)
  })

  test('QNN gets all of them, with the scale that it demands after Tanh', async () => {
    const model = modelOf('Tanh')
    const preset = { ...ACCELERATOR_PRESETS['qnn'], with: undefined } as Partial<StaticOptions>
    await quantizeStatic(model, { ...samplesOf(1, 4, 6, 6), ...preset, activationType: 'uint16' })
    const scales = [...model.graph.initializers].filter(({ name }) => /output.*_scale$/.test(name))
    expect(scales.map(({ tensor }) => tensor!.scalar())).toEqual([1 / 32768])
  })

  test('counts stay exact: what Range reads and gives is not quantized', async () => {
    const model = buildModel(18, (graph, input) => {
      const [start, delta] = [0, 1].map((value) => graph.addInitializer('n', Tensor.float32([], [value])))
      const limit = graph.insert({ op: 'ReduceMax', inputs: [input('x', [4])], attributes: { keepdims: int(0) } })
      const range = graph.insert({ op: 'Range', inputs: [start!, limit.output(), delta!], name: 'range' })
      return [range.output()]
    })
    await quantizeStatic(model, { ...samplesOf(4), ...ALL })
    const range = [...model.graph.nodes()].find(({ opType }) => opType === 'Range')!
    expect(range.input(1)!.producer!.opType).toBe('ReduceMax')
    expect(range.output().users.map(({ opType }) => opType)).toEqual([])
  })
})
