import { describe, expect, test } from 'vitest'
import type { Model } from '../../../src/graph/model.ts'
import { compare } from '../../../src/kernels/index.ts'
import { createOrtService } from '../../../src/ort/service.ts'
import { autoParams } from '../../../src/passes/quantize/auto/params.ts'
import { run as runAuto } from '../../../src/passes/quantize/auto/run.ts'
import { quantizeDynamic } from '../../support/dynamic.ts'
import { addFunction, call, functionsFeeds, functionsModel } from '../../support/functions.ts'
import { buildModel, copyOf, passContext, runModel, signatureOf } from '../../support/models.ts'
import { jsonFile, quantizeStatic } from '../../support/static.ts'
import { quantizeWeights } from '../../support/weights.ts'

const data = (): string =>
  jsonFile(
    'data.jsonl',
    Array.from({ length: 8 }, (_, i) => {
      const { x } = functionsFeeds(i + 1, true)
      return JSON.stringify({ x: { dims: [4, 16], data: x!.toNumbers() }, c: i % 2 === 0 })
    }).join('\n'),
  )

/** Runs the quantized model at level `all` against the float one, in both branches. Returns what it consists of. */
async function check(
  quantize: (model: Model) => Promise<{ changes: number; notes?: readonly { message: string }[] }>,
  least: number,
): Promise<{ model: Model; ops: Record<string, number> }> {
  const original = functionsModel()
  const model = copyOf(original)
  const { changes } = await quantize(model)
  expect(changes).toBeGreaterThan(0)
  expect(signatureOf(model)).toBe(signatureOf(original))
  const session = await createOrtService().open(copyOf(model), { graphOptimizationLevel: 'all' })
  for (const condition of [true, false]) {
    const feeds = functionsFeeds(9, condition)
    const [expected, actual] = [await runModel(original, feeds), await session.run(feeds)]
    for (const [name, tensor] of Object.entries(expected))
      expect(compare(tensor.float32(), actual[name]!.float32()).sqnr).toBeGreaterThan(least)
  }
  await session.release()
  return { model, ops: model.histogram() }
}

describe("operators inside of a model's own functions", () => {
  test('dynamic quantization', async () => {
    const { ops, model } = await check((model) => quantizeDynamic(model), 25)
    expect(ops['MatMulInteger']).toBe(6)
    expect(ops).not.toHaveProperty('Gemm')
    // The weight that is a constant of the function is quantized once for both calls.
    const matrices = [...model.graph.initializers].filter(({ tensor }) => tensor?.dims.join() === '16,16')
    expect(matrices.map(({ tensor }) => tensor!.dtype)).not.toContain('float32')
  })

  test.each([{}, { allOps: true, sparePairs: false }, { quantFormat: 'qoperator' }] as const)(
    'static quantization: %o',
    async (options) => {
      const { ops } = await check((model) => quantizeStatic(model, { calibration: data(), ...options }), 25)
      if (!('quantFormat' in options)) expect(ops['DequantizeLinear']).toBeGreaterThan(10)
      else expect(ops['com.microsoft:QGemm']).toBe(4)
    },
  )

  test.each([
    { bits: 8, algorithm: 'rtn' },
    { weightFormat: 'qdq', bits: 8, algorithm: 'rtn' },
  ] as const)('weights in blocks: %o', async (options) => {
    const { ops } = await check((model) => quantizeWeights(model, { blockSize: 16, ...options }), 25)
    if ('weightFormat' in options) expect(ops['DequantizeLinear']).toBeGreaterThanOrEqual(4)
    else expect(ops['com.microsoft:MatMulNBits']).toBe(6)
  })

  test('the search for what loses least', async () => {
    const defaults = Object.fromEntries(
      Object.entries(autoParams).flatMap(([key, spec]) => ('default' in spec ? [[key, spec.default]] : [])),
    )
    const { ops } = await check(
      (model) =>
        runAuto(
          model,
          { ...defaults, quantize: 'auto', calibration: data(), formulas: ['dynamic'] } as never,
          passContext(),
        ),
      20,
    )
    expect(ops['MatMulInteger']).toBe(6)
  })

  test.each([
    ['the name after the path of calls', 'layer.0/**', 3],
    ['the name of a call', 'layer.1', 3],
    ['the name of a call inside of a function', 'second', 4],
    ['the name in the function', 'gemm', 2],
  ])('are chosen by %s', async (_, pattern, left) => {
    const model = functionsModel()
    const { notes } = await quantizeDynamic(model, { excludeNodes: [pattern] })
    expect(model.histogram()['MatMulInteger']).toBe(left)
    expect(notes.map(({ code }) => code)).not.toContain('quantize/pattern-without-node')
  })

  test('functions without such operators, and calls of them, stay', async () => {
    const model = functionsModel()
    addFunction(model, 'Plain', ['x'], (body, inputs) => [
      body.insert({ op: 'Relu', inputs, outputs: ['plain_y'] }).output(),
    ])
    model.graph.addOutput(call(model.graph, 'Plain', 'plain', [model.graph.inputs[0]!]))
    await quantizeDynamic(model)
    expect(model.functions.map(({ name }) => name)).toEqual(['Plain'])
    const only = functionsModel()
    expect((await quantizeDynamic(only, { ops: ['Conv'] })).changes).toBe(0)
    expect(only.functions).toHaveLength(2)
  })

  test('where a function cannot be taken apart, that is said', async () => {
    const model = buildModel(17, (graph, input) => [
      graph.insert({ op: 'Relu', inputs: [input('x', ['n', 8])] }).output(),
    ])
    addFunction(
      model,
      'Product',
      ['a', 'b'],
      (body, inputs) => [body.insert({ op: 'MatMul', inputs, outputs: ['p_y'] }).output()],
      { opsets: new Map([['', 12]]) },
    )
    const { changes, notes } = await quantizeDynamic(model)
    expect(changes).toBe(0)
    expect(notes[0]!.message).toBe(
      'the function "Product" stays float: it is written for version 12 of the standard operators, the model for 17',
    )
  })
})
