import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readModel } from '../../src/graph/import.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import { type ErrorReport, quantizationError } from '../../src/measure/error/index.ts'
import type { StaticOptions } from '../../src/passes/quantize/static/settings.ts'
import { quantizeDynamic } from '../support/dynamic.ts'
import { buildModel, bytesOf } from '../support/models.ts'
import { quantizeStatic, samplesOf, weight } from '../support/static.ts'
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
})
