import { describe, expect, test } from 'vitest'
import { float, int } from '../../../../src/graph/attributes.ts'
import type { Graph } from '../../../../src/graph/graph.ts'
import type { Model } from '../../../../src/graph/model.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import { tensorType } from '../../../../src/graph/types.ts'
import type { Value } from '../../../../src/graph/value.ts'
import { compare } from '../../../../src/kernels/index.ts'
import { createOrtService } from '../../../../src/ort/service.ts'
import type { StaticOptions } from '../../../../src/passes/quantize/static/settings.ts'
import { buildModel, copyOf, runModel, signatureOf } from '../../../support/models.ts'
import { jsonFile, quantizeStatic, samplesOf, weight } from '../../../support/static.ts'

const ms = 'com.microsoft'

/** Attention over 16 channels in 2 heads, and a product after it. */
const attention = (bias = true, more: (graph: Graph) => (Value | null)[] = () => []): Model =>
  buildModel(17, (graph, input) => {
    graph.model.useDomain(ms)
    const node = graph.insert({
      op: 'Attention',
      domain: ms,
      inputs: [
        input('x', [2, 5, 16]),
        weight(graph, 'w', 16, 48),
        bias ? weight(graph, 'b', 48) : null,
        ...more(graph),
      ],
      attributes: { num_heads: int(2) },
      types: [tensorType('float32', [2, 5, 16])],
    })
    return [graph.insert({ op: 'MatMul', inputs: [node.output(), weight(graph, 'v', 16, 8)] }).output()]
  })

async function quantized(model: Model, options: Partial<StaticOptions>): Promise<number> {
  const { calibration, x } = samplesOf(2, 5, 16)
  const expected = Object.values(await runModel(model, { x }))[0]!.float32()
  await createOrtService().inferTypes(model)
  const signature = signatureOf(model)
  await quantizeStatic(model, { calibration, ...options })
  expect(signatureOf(model)).toBe(signature)
  const session = await createOrtService().open(copyOf(model), { graphOptimizationLevel: 'all' })
  const actual = Object.values(await session.run({ x }))[0]!.float32()
  await session.release()
  return compare(expected, actual).sqnr
}

describe('Attention with a packed weight', () => {
  for (const quantFormat of ['qdq', 'qoperator'] as const)
    test.each([
      {},
      { weightType: 'uint8' },
      { perChannel: false },
      { allOps: true, sparePairs: false },
    ] as Partial<StaticOptions>[])(`${quantFormat}: %o`, async (options) => {
      const model = attention()
      expect(await quantized(model, { ...options, quantFormat })).toBeGreaterThan(25)
      const ops = model.histogram()
      expect([ops['com.microsoft:QAttention'], ops['com.microsoft:Attention']]).toEqual([1, undefined])
      expect([...model.graph.initializers].filter(({ name }) => name === 'w')).toEqual([])
    })

  test('without a bias, which ONNX Runtime crashes without', async () => {
    const model = attention(false)
    const { calibration, x } = samplesOf(2, 5, 16)
    const same = copyOf(model)
    const node = [...same.graph.nodes()].find(({ opType }) => opType === 'Attention')!
    node.setInput(2, same.graph.addInitializer('zeros', Tensor.float32([48], new Float32Array(48))))
    const expected = Object.values(await runModel(same, { x }))[0]!.float32()
    await quantizeStatic(model, { calibration })
    expect(model.histogram()).toHaveProperty(['com.microsoft:QAttention'])
    const actual = Object.values(await runModel(model, { x }))[0]!.float32()
    expect(compare(expected, actual).sqnr).toBeGreaterThan(25)
  })

  test('what the integer form does not have stays float', async () => {
    const model = attention(true, (graph) => [null, null, weight(graph, 'scores', 1, 2, 5, 5)])
    await quantized(model, {})
    expect(model.histogram()).toHaveProperty(['com.microsoft:Attention'])
  })

  test.each([
    { excludeOps: ['Attention'] },
    { activationType: 'uint16' },
    { activationType: 'int8' },
    { weightType: 'int4' },
  ] as Partial<StaticOptions>[])('stays float with %o', async (options) => {
    const model = attention()
    await quantized(model, options)
    expect(model.histogram()).toHaveProperty(['com.microsoft:Attention'])
  })
})

test('embeddings with their normalization become QEmbedLayerNormalization', async () => {
  const model = buildModel(17, (graph, input) => {
    graph.model.useDomain(ms)
    const table = (name: string, rows: number): Value => weight(graph, name, rows, 16)
    const node = graph.insert({
      op: 'EmbedLayerNormalization',
      domain: ms,
      inputs: [
        input('ids', [2, 4], 'int32'),
        input('types', [2, 4], 'int32'),
        table('words', 20),
        table('positions', 8),
        table('kinds', 2),
        graph.addInitializer('gamma', Tensor.float32([16], new Float32Array(16).fill(1))),
        weight(graph, 'beta', 16),
      ],
      attributes: { epsilon: float(1e-5) },
      outputs: ['embedded', 'unused'],
      types: [tensorType('float32', [2, 4, 16]), tensorType('int32', [2])],
    })
    return [graph.insert({ op: 'MatMul', inputs: [node.output(), weight(graph, 'v', 16, 8)] }).output()]
  })
  const feeds = {
    ids: Tensor.from('int32', [2, 4], [1, 2, 3, 4, 5, 6, 7, 19]),
    types: Tensor.from('int32', [2, 4], [0, 0, 1, 1, 0, 0, 1, 1]),
  }
  const line = JSON.stringify({
    ids: { dims: [2, 4], data: feeds.ids.toNumbers() },
    types: { dims: [2, 4], data: feeds.types.toNumbers() },
  })
  const expected = Object.values(await runModel(model, feeds))[0]!.float32()
  await quantizeStatic(model, { calibration: jsonFile('data.jsonl', line) })
  expect(model.histogram()).toHaveProperty(['com.microsoft:QEmbedLayerNormalization'])
  const actual = Object.values(await runModel(model, feeds))[0]!.float32()
  expect(compare(expected, actual).sqnr).toBeGreaterThan(25)
})
