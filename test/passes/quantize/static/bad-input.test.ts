import { describe, expect, test } from 'vitest'
import { int, ints, tensor as tensorAttribute } from '../../../../src/graph/attributes.ts'
import type { Graph } from '../../../../src/graph/graph.ts'
import type { Model } from '../../../../src/graph/model.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import type { Value } from '../../../../src/graph/value.ts'
import { compare } from '../../../../src/kernels/index.ts'
import { createOrtService } from '../../../../src/ort/service.ts'
import type { StaticOptions } from '../../../../src/passes/quantize/static/settings.ts'
import { buildModel, copyOf, runModel } from '../../../support/models.ts'
import { jsonFile, quantizeStatic, randomTensor, samplesOf, weight } from '../../../support/static.ts'

const FORMATS = [
  {},
  { allOps: true, sparePairs: false },
  { quantFormat: 'qoperator', allOps: true, sparePairs: false },
] as const satisfies Partial<StaticOptions>[]

/** Runs a model with all optimizations. */
async function runFast(model: Model, x: Tensor): Promise<Float32Array> {
  const session = await createOrtService().open(copyOf(model), { graphOptimizationLevel: 'all' })
  const results = await session.run({ x })
  await session.release()
  return Object.values(results)[0]!.float32()
}

describe('activations', () => {
  test.each(FORMATS)('NaN and infinity in some samples are no part of ranges: %o', async (options) => {
    const model = buildModel(17, (graph, input) => {
      // The reciprocal of zero is infinite; infinity minus infinity is not a number.
      const one = graph.insert({ op: 'Reciprocal', inputs: [input('x', [1, 4])] }).output()
      const two = graph
        .insert({ op: 'Add', inputs: [one, graph.insert({ op: 'Neg', inputs: [one] }).output()] })
        .output()
      const sum = graph.insert({ op: 'Add', inputs: [one, two] }).output()
      return [graph.insert({ op: 'MatMul', inputs: [sum, weight(graph, 'w', 4, 4)] }).output()]
    })
    const samples = [
      [1, 2, 4, 0],
      [0.5, -1, -2, 4],
    ]
    const lines = samples.map((x) => JSON.stringify({ x: [x] })).join('\n')
    const x = Tensor.float32([1, 4], samples[1]!)
    const expected = Object.values(await runModel(model, { x }))[0]!.float32()
    const { ranges, notes } = await quantizeStatic(model, { calibration: jsonFile('data.jsonl', lines), ...options })
    expect(notes.find(({ code }) => code === 'quantize/not-finite')).toMatchObject({ level: 'warn' })
    for (const range of Object.values(ranges)) expect(range.every(Number.isFinite)).toBe(true)
    expect(compare(expected, await runFast(model, x)).sqnr).toBeGreaterThan(25)
  })

  test.each(FORMATS)('tensors of zeros: %o', async (options) => {
    const model = buildModel(17, (graph, input) => {
      const zeros = (name: string, ...dims: number[]): Value =>
        graph.addInitializer(name, Tensor.float32(dims, new Float32Array(dims.reduce((a, b) => a * b, 1))))
      const conv = graph.insert({
        op: 'Conv',
        inputs: [input('x', [1, 2, 4, 4]), zeros('w', 3, 2, 1, 1), zeros('b', 3)],
      })
      const relu = graph.insert({ op: 'Relu', inputs: [conv.output()] })
      const flat = graph.insert({ op: 'Flatten', inputs: [relu.output()] })
      return [graph.insert({ op: 'MatMul', inputs: [flat.output(), weight(graph, 'v', 48, 4)] }).output()]
    })
    const { calibration, x } = samplesOf(1, 2, 4, 4)
    for (const calibrationMethod of ['minmax', 'percentile', 'mse', 'entropy', 'distribution'] as const) {
      const result = copyOf(model)
      await quantizeStatic(result, { calibration, calibrationMethod, ...options })
      expect([...(await runFast(result, x))]).toEqual([0, 0, 0, 0])
    }
  })

  test.each([
    ['NaN', '"NaN"'],
    ['infinity', '1e999'],
  ])('an input without any finite value is refused: %s', async (_, value) => {
    const model = buildModel(17, (graph, input) => [
      graph.insert({ op: 'MatMul', inputs: [input('x', [1, 2]), weight(graph, 'w', 2, 4)] }).output(),
    ])
    const feeds = jsonFile(
      'data.mjs',
      `export default [1, 2].map(() => ({ x: { dims: [1, 2], data: [Number(${value}), Number(${value})] } }))`,
    )
    await expect(quantizeStatic(model, { calibration: feeds })).rejects.toMatchObject({
      code: 'CALIBRATION_DATA',
      message: expect.stringContaining('"x" has no finite value in any sample'),
    })
  })

  test('inputs of zeros only', async () => {
    const model = buildModel(17, (graph, input) => [
      graph.insert({ op: 'MatMul', inputs: [input('x', [1, 4]), weight(graph, 'w', 4, 4)] }).output(),
    ])
    const { notes } = await quantizeStatic(model, { calibration: jsonFile('data.jsonl', '{"x": [[0, 0, 0, 0]]}') })
    expect(notes).toContainEqual(expect.objectContaining({ level: 'warn', code: 'quantize/zeros' }))
    expect([...(await runFast(model, Tensor.float32([1, 4], new Float32Array(4))))]).toEqual([0, 0, 0, 0])
  })
})

describe('weights', () => {
  const BEHIND: Record<string, (graph: Graph) => Value> = {
    Constant: (graph) =>
      graph.insert({ op: 'Constant', inputs: [], attributes: { value: tensorAttribute(randomTensor(4, 6)) } }).output(),
    Identity: (graph) => graph.insert({ op: 'Identity', inputs: [weight(graph, 'w', 4, 6)] }).output(),
    Cast: (graph) => {
      const halves = Tensor.from('float16', [4, 6], randomTensor(4, 6).toNumbers())
      return graph
        .insert({ op: 'Cast', inputs: [graph.addInitializer('w', halves)], attributes: { to: int(1) } })
        .output()
    },
    'Identity of a Cast of an Identity': (graph) => {
      const halves = Tensor.from('float16', [4, 6], randomTensor(4, 6).toNumbers())
      const first = graph.insert({ op: 'Identity', inputs: [graph.addInitializer('w', halves)] }).output()
      const cast = graph.insert({ op: 'Cast', inputs: [first], attributes: { to: int(1) } }).output()
      return graph.insert({ op: 'Identity', inputs: [cast] }).output()
    },
    Transpose: (graph) =>
      graph
        .insert({ op: 'Transpose', inputs: [weight(graph, 'w', 6, 4)], attributes: { perm: ints([1, 0]) } })
        .output(),
  }
  for (const options of FORMATS)
    test.each(Object.keys(BEHIND))(`behind %s: ${JSON.stringify(options)}`, async (name) => {
      const model = buildModel(17, (graph, input) => [
        graph.insert({ op: 'MatMul', inputs: [input('x', [2, 4]), BEHIND[name]!(graph)] }).output(),
      ])
      const { calibration, x } = samplesOf(2, 4)
      const expected = Object.values(await runModel(model, { x }))[0]!.float32()
      await quantizeStatic(model, { calibration, ...options })
      expect(compare(expected, await runFast(model, x)).sqnr).toBeGreaterThan(25)
      if (name === 'Transpose') return
      const types = [...model.graph.initializers].filter(({ tensor }) => tensor!.dims.length === 2)
      expect(types.map(({ tensor }) => tensor!.dtype)).toEqual(['int8'])
      expect(Object.keys(model.histogram()).filter((op) => BEHIND[op])).toEqual([])
    })

  test.each([
    ['NaN', [Number.NaN, 1, 2, 3], /not finite/],
    ['infinity', [Number.POSITIVE_INFINITY, 1, 2, 3], /not finite/],
  ])('with %s stay float, said so', async (_, values, message) => {
    const model = buildModel(17, (graph, input) => [
      graph
        .insert({
          op: 'MatMul',
          inputs: [input('x', [1, 2]), graph.addInitializer('w', Tensor.float32([2, 2], values))],
        })
        .output(),
    ])
    const { notes } = await quantizeStatic(model, samplesOf(1, 2))
    expect(notes.map((note) => note.message).join('\n')).toMatch(message)
    expect([...model.graph.initializers].find(({ name }) => name === 'w')!.tensor!.dtype).toBe('float32')
  })

  test('without elements, and of no columns', async () => {
    const model = buildModel(17, (graph, input) => {
      const empty = graph.addInitializer('w', Tensor.float32([4, 0], new Float32Array()))
      const nothing = graph.insert({ op: 'MatMul', inputs: [input('x', [2, 4]), empty] }).output()
      const some = graph.insert({ op: 'MatMul', inputs: [graph.inputs[0]!, weight(graph, 'v', 4, 4)] }).output()
      return [graph.insert({ op: 'Concat', inputs: [nothing, some], attributes: { axis: int(1) } }).output()]
    })
    const { calibration, x } = samplesOf(2, 4)
    const expected = Object.values(await runModel(model, { x }))[0]!.float32()
    await quantizeStatic(model, { calibration, allOps: true })
    expect(compare(expected, await runFast(model, x)).sqnr).toBeGreaterThan(25)
  })
})
