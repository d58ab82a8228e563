import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { graph as graphAttribute, int } from '../../src/graph/attributes.ts'
import { Graph } from '../../src/graph/graph.ts'
import { readModel } from '../../src/graph/import.ts'
import type { Model } from '../../src/graph/model.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import { tensorType } from '../../src/graph/types.ts'
import { type ErrorReport, quantizationError } from '../../src/measure/error/index.ts'
import { saveInputs } from '../../src/measure/inputs/save.ts'
import type { StaticOptions } from '../../src/passes/quantize/static/settings.ts'
import { quantizeDynamic } from '../support/dynamic.ts'
import { functionsFeeds, functionsModel } from '../support/functions.ts'
import { buildModel, bytesOf } from '../support/models.ts'
import { jsonFile, quantizeStatic, randomTensor, samplesOf, weight } from '../support/static.ts'
import { temporaryFolder } from '../support/temporary.ts'
import { quantizeWeights } from '../support/weights.ts'

const reference = resolve(import.meta.dirname, '../../fixtures/digits-cnn.onnx')

function data(): string {
  const path = join(temporaryFolder(), 'data.mjs')
  const image = (n: number): number[] => Array.from({ length: 64 }, (_, i) => ((i * 37 + n * 11) % 17) / 16)
  const feeds = [0, 1, 2, 3].map((n) => ({ image: { dims: [1, 1, 8, 8], data: image(n) } }))
  writeFileSync(path, `export default ${JSON.stringify(feeds)}`)
  return path
}

async function staticError(options: Partial<StaticOptions>): Promise<ErrorReport> {
  const model = readModel(reference)
  await quantizeStatic(model, { calibration: data(), ...options })
  const path = join(temporaryFolder(), 'quantized.onnx')
  writeFileSync(path, bytesOf(model))
  return quantizationError(reference, path, { samples: 2 })
}

describe('errors of quantized models', () => {
  test('pairs: rounding of each activation, what was lost up to there, weights, layers by noise', async () => {
    const { samples, activations, weights, layers } = await staticError({})
    expect(samples).toBe(2)
    // The input, and what comes after each activation function.
    const image = activations.find(({ name }) => name === 'image')!
    expect(image.rounding).toBeGreaterThan(30)
    const rounded = activations.filter(({ rounding }) => rounding !== undefined)
    expect(rounded.length).toBeGreaterThan(5)
    for (const { total } of activations) expect(total).toBeGreaterThan(15)
    expect(weights.length).toBeGreaterThan(5)
    for (const { sqnr, type } of weights) {
      expect(type).toMatch(/^u?int8$/)
      // Normalizations were folded into some: their factors are left out.
      expect(sqnr).toBeGreaterThan(30)
    }
    expect(weights.some(({ rescaled }) => rescaled)).toBe(true)
    const added = layers.map((layer) => layer.added)
    expect(added).toEqual([...added].sort((a, b) => b - a))
    expect(added[0]).toBeGreaterThan(0)
  })

  test('channels that smoothing multiplied are told from errors', async () => {
    // A normalization with channels that are much wider than the others, and a product after it.
    const wide = Float32Array.from({ length: 16 }, (_, i) => (i < 2 ? 40 : 1))
    const float = buildModel(17, (graph, input) => {
      const gamma = graph.addInitializer('gamma', Tensor.float32([16], wide))
      const norm = graph.insert({
        op: 'LayerNormalization',
        inputs: [input('x', ['n', 16]), gamma, weight(graph, 'beta', 16)],
      })
      norm.output().name = 'normed'
      return [graph.insert({ op: 'MatMul', inputs: [norm.output(), weight(graph, 'w', 16, 8)] }).output()]
    })
    const [from, to] = ['float.onnx', 'quantized.onnx'].map((name) => join(temporaryFolder(), name)) as [string, string]
    writeFileSync(from, bytesOf(float))
    const model = readModel(from)
    await quantizeStatic(model, { calibration: samplesOf(64, 16).calibration })
    writeFileSync(to, bytesOf(model))
    const { activations, weights } = await quantizationError(from, to, {
      samples: 2,
      sizes: { shapes: new Map(), dimensions: new Map([['n', 64]]) },
    })
    const normed = activations.find(({ name }) => name === 'normed')!
    expect(normed.rescaled).toBe(true)
    expect(normed.total).toBeGreaterThan(25)
    expect(weights[0]).toMatchObject({ name: 'w', rescaled: true })
  })

  test('fewer bits cost more', async () => {
    const worst = async (weightType: 'int8' | 'int4'): Promise<number> =>
      (await staticError({ weightType, activationType: 'uint16' })).weights[0]!.sqnr!
    expect(await worst('int8')).toBeGreaterThan((await worst('int4')) + 15)
  })

  test('integer operators: activations that exist as codes only', async () => {
    const { activations, weights } = await staticError({ quantFormat: 'qoperator', allOps: true, sparePairs: false })
    expect(activations.length).toBeGreaterThan(5)
    for (const { total } of activations) expect(total).toBeGreaterThan(15)
    expect(weights.length).toBeGreaterThan(5)
  })

  test('dynamic quantization and weights in blocks', async () => {
    const path = join(temporaryFolder(), 'quantized.onnx')
    const dynamic = readModel(reference)
    await quantizeDynamic(dynamic, {})
    writeFileSync(path, bytesOf(dynamic))
    const first = await quantizationError(reference, path)
    expect(first.weights.length).toBeGreaterThan(3)
    for (const { sqnr } of first.weights) expect(sqnr).toBeGreaterThan(30)
    const blocks = readModel(reference)
    await quantizeWeights(blocks, { bits: 4, blockSize: 32 })
    writeFileSync(path, bytesOf(blocks))
    const second = await quantizationError(reference, path)
    expect(second.weights.length).toBeGreaterThan(0)
    for (const { sqnr, type } of second.weights) {
      expect(type).toBe('4 bits')
      expect(sqnr).toBeGreaterThan(15)
    }
  })

  test('of models that share nothing there is nothing to tell', async () => {
    const other = resolve(import.meta.dirname, '../../fixtures/digits-cnn.onnx')
    const model = readModel(reference)
    for (const node of model.graph.nodes())
      for (const value of node.outputs) if (value) value.name = `other_${value.name}`
    for (const value of [...model.graph.inputs, ...model.graph.initializers]) value.name = `other_${value.name}`
    const path = join(temporaryFolder(), 'other.onnx')
    writeFileSync(path, bytesOf(model))
    await expect(quantizationError(other, path)).rejects.toMatchObject({ code: 'NOTHING_SHARED' })
  })

  test('the models the other way round, or a model without quantized values, are told', async () => {
    const told = { code: 'NOTHING_SHARED', hint: expect.stringContaining('--error FLOAT') }
    const dynamic = readModel(reference)
    await quantizeDynamic(dynamic, {})
    const path = join(temporaryFolder(), 'dynamic.onnx')
    writeFileSync(path, bytesOf(dynamic))
    await expect(quantizationError(path, reference)).rejects.toMatchObject(told)
  })
})

describe('inside of bodies and functions', () => {
  /** Both models as files. */
  async function errorOf(
    float: Model,
    quantize: (model: Model) => Promise<unknown>,
    feeds: readonly Record<string, Tensor>[] = [],
  ): Promise<ErrorReport> {
    const folder = temporaryFolder()
    const [from, to] = ['float.onnx', 'quantized.onnx'].map((name) => join(folder, name)) as [string, string]
    writeFileSync(from, bytesOf(float))
    const model = readModel(from)
    await quantize(model)
    writeFileSync(to, bytesOf(model))
    const inputs = join(folder, 'inputs')
    saveInputs(inputs, feeds)
    return quantizationError(from, to, { samples: 4, files: feeds.length ? [inputs] : [] })
  }

  const feeds = [1, 2, 3, 4].map((seed) => functionsFeeds(seed, seed % 2 === 0))
  const calibration = (): string =>
    jsonFile(
      'data.jsonl',
      feeds
        .map(({ x }, i) => JSON.stringify({ x: { dims: [4, 16], data: x!.toNumbers() }, c: i % 2 === 1 }))
        .join('\n'),
    )

  test.each(['dynamic', 'static', 'weights'])(
    '%s: operators in functions, called twice, and in their branches',
    async (kind) => {
      const { activations, layers, weights } = await errorOf(
        functionsModel(),
        (model) => {
          if (kind === 'dynamic') return quantizeDynamic(model)
          if (kind === 'weights') return quantizeWeights(model, { bits: 8, blockSize: 16 })
          return quantizeStatic(model, { calibration: calibration() })
        },
        feeds,
      )
      const names = activations.map(({ name }) => name)
      for (const name of ['layer.0/first_out', 'layer.1/second_out', 'layer.1_out']) expect(names).toContain(name)
      for (const { total } of activations) if (total !== null) expect(total).toBeGreaterThan(20)
      // A product in a branch, of the second call.
      expect(layers.find(({ node }) => node === 'layer.1/matmul')).toMatchObject({ op: 'MatMul' })
      expect(weights.map(({ name }) => name)).toContain('layer.0/own')
    },
  )

  test('rounds of a Loop count together, each against its own; what grows from round to round too', async () => {
    // state <- concat(state, last row of state · w): one row more in each of three rounds.
    const model = buildModel(17, (graph, input) => {
      const x = input('x', [2, 8])
      const w = weight(graph, 'w', 8, 8)
      const trips = graph.addInitializer('trips', Tensor.int64([3], []))
      const go = graph.addInitializer('go', Tensor.from('bool', [], [1]))
      const node = graph.insert({ op: 'Loop', inputs: [trips, go, x], name: 'loop', outputs: ['grown'] })
      const body = new Graph(graph.model, 'body', node)
      body.addInput('i', tensorType('int64', []))
      const on = body.addInput('on', tensorType('bool', []))
      const state = body.addInput('state', tensorType('float32', [null, 8]))
      const [first, end, axis] = [[-1], [1000], [0]].map((list) => body.addInitializer('slice', Tensor.int64(list!)))
      const row = body.insert({ op: 'Slice', inputs: [state, first!, end!, axis!], outputs: ['row'] }).output()
      const made = body.insert({ op: 'MatMul', inputs: [row, w], name: 'product', outputs: ['made'] }).output()
      const all = body.insert({ op: 'MatMul', inputs: [state, w], name: 'wide', outputs: ['all'] }).output()
      const half = body.addInitializer('half', Tensor.float32([], [0.5]))
      const small = body.insert({ op: 'Mul', inputs: [all, half], outputs: ['small'] }).output()
      body.addOutput(
        body.insert({ op: 'Identity', inputs: [on], outputs: ['on_again'], types: [tensorType('bool', [])] }).output(),
      )
      const attributes = { axis: int(0) }
      body.addOutput(body.insert({ op: 'Concat', inputs: [small, made], attributes, outputs: ['next'] }).output())
      node.attributes.set('body', graphAttribute(body))
      return [node.output()]
    })
    const { activations, layers } = await errorOf(model, (model) => quantizeDynamic(model))
    for (const name of ['state', 'row', 'made', 'all', 'next'])
      expect(activations.find((activation) => activation.name === name)?.total, name).toBeGreaterThan(20)
    const worst = layers.filter(({ added }) => added > 0).map(({ node }) => node)
    expect(worst).toContain('wide')
  })

  test('two branches may use the same names', async () => {
    // then: x · w, with a weight that 8 bits hold exactly (rows of opposite signs, so that nothing saturates); else: one that they do not.
    const exact = Tensor.float32(
      [8, 8],
      Float32Array.from({ length: 64 }, (_, i) => (Math.floor(i / 8) % 2 ? 127 : -127)),
    )
    const model = buildModel(17, (graph, input) => {
      const [x, c] = [input('x', [4, 8]), input('c', [], 'bool')]
      const node = graph.insert({ op: 'If', inputs: [c], name: 'if', outputs: ['y'] })
      for (const [name, tensor] of Object.entries({ then_branch: exact, else_branch: randomTensor(8, 8) })) {
        const body = new Graph(graph.model, name, node)
        const w = body.addInitializer(`${name}_w`, tensor)
        const output = body.insert({ op: 'MatMul', inputs: [x, w], name: `${name}_product` }).output()
        output.name = 'result'
        body.addOutput(output)
        node.attributes.set(name, graphAttribute(body))
      }
      return [node.output()]
    })
    // Values that are multiples of a quarter up to 255 quarters: activations are exact too.
    const x = Array.from({ length: 32 }, (_, i) => (i === 0 ? 63.75 : i === 1 ? 0 : (i * 7) % 60))
    const feeds = [1, 0].map((c) => ({ x: Tensor.float32([4, 8], x), c: Tensor.from('bool', [], [c]) }))
    const { activations } = await errorOf(
      model,
      (model) => quantizeDynamic(model, { smoothNorms: false, floatOutliers: false }),
      feeds,
    )
    const results = activations.filter(({ name }) => name === 'result')
    expect(results.map(({ node }) => node)).toEqual(['then_branch_product', 'else_branch_product'])
    expect(results[0]!.total ?? 200).toBeGreaterThan(100)
    expect(results[1]!.total).toBeLessThan(70)
  })
})
