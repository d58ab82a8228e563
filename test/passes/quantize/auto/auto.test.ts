import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Model } from '../../../../src/graph/model.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import type { Value } from '../../../../src/graph/value.ts'
import { compare } from '../../../../src/kernels/index.ts'
import { resolveRequest } from '../../../../src/options/index.ts'
import { createOrtService } from '../../../../src/ort/service.ts'
import type { Note } from '../../../../src/passes/pass.ts'
import { type AutoOptions, autoQuantization, formulasOf } from '../../../../src/passes/quantize/auto/index.ts'
import { autoParams } from '../../../../src/passes/quantize/auto/params.ts'
import { type AutoReport, run } from '../../../../src/passes/quantize/auto/run.ts'
import { search } from '../../../../src/passes/quantize/auto/search.ts'
import { bytesOf, copyOf, runModel } from '../../../support/models.ts'
import { draw, noise } from '../../../support/rules.ts'
import { jsonFile } from '../../../support/static.ts'
import { temporaryFolder } from '../../../support/temporary.ts'

const WIDTH = 32
const DEFAULTS = {
  ...Object.fromEntries(
    Object.entries(autoParams).flatMap(([key, spec]) => ('default' in spec ? [[key, spec.default]] : [])),
  ),
  quantize: 'auto',
} as AutoOptions

async function quantize(
  model: Model,
  options: Partial<AutoOptions>,
): Promise<{ report: AutoReport; notes: Note[]; changes: number }> {
  const notes: Note[] = []
  const result = await run(
    model,
    { ...DEFAULTS, ...options },
    {
      ort: createOrtService(),
      file: 'model.onnx',
      device: 'cpu',
      threads: 2,
      note: (note) => void notes.push(note),
      progress: () => {},
    },
  )
  return { report: result.data as AutoReport, notes, changes: result.changes }
}

/** Four products in a row; half of the channels that the third reads are far wider than the others, and meet small weights. */
const chain = (): Promise<Model> =>
  draw(({ input, op, weight, constant }) => {
    const spread = (by: number) => Float32Array.from({ length: WIDTH }, (_, i) => (i < 16 ? by : 1))
    const product = (x: Value) => op.MatMul(x, weight([WIDTH, WIDTH], { scale: 0.3 }))
    let x = op.Tanh(product(input('x', ['n', WIDTH])))
    x = op.Tanh(product(x))
    x = op.Mul(x, constant(Tensor.float32([WIDTH], spread(3000))))
    const small = noise(WIDTH * WIDTH, 77).map((value, i) => (i < 16 * WIDTH ? value / 3000 : value))
    x = op.Tanh(op.MatMul(x, constant(Tensor.float32([WIDTH, WIDTH], small), 'sensitive')))
    return product(x)
  })

const rows = (seed: number): Tensor => Tensor.float32([16, WIDTH], noise(16 * WIDTH, seed))
const calibration = (samples = 8): string =>
  jsonFile(
    'data.jsonl',
    Array.from({ length: samples }, (_, i) =>
      JSON.stringify({ x: { dims: [16, WIDTH], data: rows(i).toNumbers() } }),
    ).join('\n'),
  )

async function lossOf(before: Model, after: Model, x: Tensor): Promise<number> {
  const [expected] = Object.values(await runModel(copyOf(before), { x }))
  const [found] = Object.values(await runModel(copyOf(after), { x }))
  return 1 - compare(expected!.float32(), found!.float32()).cosine
}

describe('search within a loss', () => {
  test('what is preferred is taken for all weights if it is good enough, after one trial', async () => {
    const model = await chain()
    const { report, notes } = await quantize(model, { calibration: calibration(), maxLoss: 1, formulas: ['dynamic'] })
    expect(report.trials).toHaveLength(1)
    expect(report.units.map(({ formula }) => formula)).toEqual(['dynamic', 'dynamic', 'dynamic', 'dynamic'])
    expect(model.histogram()['MatMulInteger']).toBe(4)
    expect(notes.filter(({ code }) => code === 'auto/trial')).toHaveLength(1)
  })

  test('the product that 8 bits serve badly stays float, all others are integers', async () => {
    const model = await chain()
    const before = await chain()
    const { report } = await quantize(model, {
      calibration: calibration(),
      maxLoss: 0.01,
      formulas: ['static'],
      smoothNorms: false,
    })
    const float = report.units.filter(({ formula }) => formula === 'float')
    expect(report.trials[0]).toMatchObject({ units: { static: 4 }, passes: false })
    expect(report.units.map(({ formula }) => formula)).toEqual(['static', 'static', 'float', 'static'])
    expect(float[0]!.sqnr).toBeNull()
    expect(report.loss).toBeLessThanOrEqual(0.01)
    expect(await lossOf(before, model, rows(1000))).toBeLessThan(0.02)
    expect(report.trials.length).toBeLessThanOrEqual(DEFAULTS.trials)
  })

  test('or gets a formula that serves it well', async () => {
    const model = await chain()
    const { report } = await quantize(model, {
      calibration: calibration(),
      maxLoss: 0.002,
      metric: 'sqnr',
      formulas: ['static', '8bit'],
      blockSize: 16,
      smoothNorms: false,
    })
    const [, , sensitive] = report.units
    expect(sensitive!.formula).toBe('8bit')
    expect(report.units.filter(({ formula }) => formula === 'static').length).toBeGreaterThan(0)
    expect(sensitive!.sqnr).toBeGreaterThan(30)
  })

  test('all formulas on convolutions and products: loads and runs', async () => {
    const model = await draw(({ input, op, weight }) => {
      const x = op.Relu(op.Conv(input('x', ['n', 3, 8, 8]), weight([8, 3, 3, 3])))
      return op.Gemm(op.Flatten(op.Relu(op.Conv(x, weight([8, 8, 3, 3])))), weight([128, 10]), weight([10]))
    })
    const lines = Array.from({ length: 8 }, (_, i) =>
      JSON.stringify({ x: { dims: [2, 3, 8, 8], data: noise(384, i) } }),
    )
    const { report } = await quantize(model, { calibration: jsonFile('data.jsonl', lines.join('\n')), maxLoss: 1e-4 })
    expect(report.loss).toBeLessThanOrEqual(1e-4)
    await runModel(copyOf(model), { x: Tensor.float32([1, 3, 8, 8], noise(192, 50)) })
  })

  test('nothing good enough: an error with the best that was found', async () => {
    const data = calibration()
    await expect(quantize(await chain(), { calibration: data, maxLoss: 0, trials: 7 })).rejects.toThrow(
      /no quantized model loses 0 % or less: the best of [67] trials loses [\d.e-]+ % \(/,
    )
    await expect(quantize(await chain(), { calibration: data, maxLoss: 1e-7, trials: 1 })).rejects.toThrow(
      /best of 1 trials/,
    )
  })

  test('a quantized model, and one without weights, stay as they are', async () => {
    const data = calibration()
    const model = await chain()
    await quantize(model, { calibration: data, maxLoss: 1, formulas: ['dynamic'] })
    const bytes = bytesOf(model)
    expect((await quantize(model, { calibration: data })).changes).toBe(0)
    expect(bytesOf(model)).toEqual(bytes)
    const empty = await draw(({ input, op }) => op.Tanh(input('x', ['n', WIDTH])))
    expect((await quantize(empty, { calibration: data })).changes).toBe(0)
  })
})

describe('a function that scores', () => {
  const evaluate = (text: string): string => {
    const file = join(temporaryFolder(), 'evaluate.mjs')
    writeFileSync(file, text)
    return file
  }

  test('decides', async () => {
    const model = await chain()
    const file = evaluate(`
      export default async ({ run }) => {
        const { ${model.graph.outputs[0]!.name}: output } = await run({ x: Array.from({ length: 3 }, (_, i) => Array.from({ length: ${WIDTH} }, (_, k) => Math.sin(i * 7 + k))) })
        return output.data.reduce((sum, value) => sum + value * value, 0) > 0 && output.dims[0] === 3 ? 100 : 0
      }`)
    const { report } = await quantize(model, { evaluate: file, maxLoss: 0 })
    expect(report).toMatchObject({ loss: 0, trials: [{ passes: true }] })
  })

  test.each([
    ['throws', 'export default () => { throw new Error("no images") }', /failed: no images/],
    ['returns no number', 'export default async () => Number.NaN', /returned NaN/],
    ['is none', 'export default 3', /no function/],
    ['can not be loaded', 'import "./nowhere.mjs"; export default () => 1', /the module that evaluates models fails/],
    ['feeds what is no input', 'export default ({ run }) => run({ x: [["a"]] })', /is no number/],
  ])('that %s: one error', async (_, text, message) => {
    await expect(quantize(await chain(), { evaluate: evaluate(text) })).rejects.toThrow(message)
  })
})

describe('options', () => {
  test.each<[Partial<AutoOptions>, string, RegExp]>([
    [{}, 'cpu', /needs something to measure/],
    [{ calibration: 'a.npz', evaluate: 'b.js', metric: 'cosine' }, 'cpu', /exclude each other/],
    [{ evaluate: 'b.js', formulas: ['static'] }, 'cpu', /needs calibration data/],
    [{ calibration: 'a.npz', formulas: ['dynamic'] }, 'webgpu', /no integer products/],
    [{ calibration: 'a.npz', formulas: ['3bit'] }, 'cpu', /there is no "3bit"/],
    [{ evaluate: 'b.js', algorithm: 'gptq' }, 'cpu', /needs calibration data/],
  ])('that contradict each other: %j on %s', (options, device, message) => {
    expect(() => autoQuantization.check!({ ...DEFAULTS, ...options }, device)).toThrow(message)
  })

  test('formulas by device and data', () => {
    expect(formulasOf({ ...DEFAULTS, calibration: 'a.npz' }, 'cpu')).toEqual([
      '4bit',
      'static',
      'static-mse',
      'dynamic',
      '8bit',
    ])
    expect(formulasOf({ ...DEFAULTS, evaluate: 'a.js' }, 'wasm')).toEqual(['4bit', 'dynamic', '8bit'])
    expect(formulasOf({ ...DEFAULTS, calibration: 'a.npz' }, 'webgpu')).toEqual(['4bit', '8bit'])
  })

  test('in a query', () => {
    const { targets } = resolveRequest({
      file: '/project/model.onnx',
      root: '/project',
      query: '?quantize=auto&max_loss=1%&calibration=data.npz&trials=9&formulas=static,8bit',
    })
    expect(targets[0]!.params).toMatchObject({
      quantize: 'auto',
      maxLoss: 0.01,
      trials: 9,
      formulas: ['static', '8bit'],
    })
  })
})

describe('the search', () => {
  const problem = (needed: readonly number[], count: number, trials: number) => {
    let left = trials
    return {
      count,
      left: () => left,
      passes: async (better: ReadonlySet<number>) => {
        left--
        return needed.every((unit) => better.has(unit))
      },
    }
  }

  test('finds exactly what is needed', async () => {
    expect(await search(problem([0, 3, 9], 20, 99))).toEqual(new Set([0, 3, 9]))
    expect(await search(problem([0], 20, 99))).toEqual(new Set([0]))
  })

  test('keeps to its trials, and tells when they were spent in vain', async () => {
    const few = await search(problem([0, 3, 9], 20, 6))
    expect([0, 3, 9].every((unit) => few!.has(unit))).toBe(true)
    expect(await search(problem([0, 3, 9], 20, 3))).toBeUndefined()
    expect(await search(problem([19], 20, 99))).toBeUndefined()
    expect(await search(problem([17], 20, 99))).toEqual(new Set([17]))
  })
})
