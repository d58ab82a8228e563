import { expect, test } from 'vitest'
import { float, int, ints, string } from '../../../../src/graph/attributes.ts'
import type { Model } from '../../../../src/graph/model.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import type { Value } from '../../../../src/graph/value.ts'
import { compareQuantized, nodesOf, PLAIN, quantizeDynamic, randomTensor } from '../../../support/dynamic.ts'
import { buildModel, runModel } from '../../../support/models.ts'

const domain = 'com.microsoft'

/** Initializers that nothing reads. */
const unread = ({ graph }: Model): string[] =>
  [...graph.initializers].filter((value) => value.isUnused).map(({ name }) => name)

/** Self-attention over 4 heads of 8, 5 positions. */
function attention(extra: 'mask' | 'past' | 'bias' | 'no-bias' | 'zero-bias' | 'sizes' | 'unidirectional') {
  const model = buildModel(17, (graph, input) => {
    const inputs: (Value | null)[] = [
      input('x', [2, 5, 32]),
      graph.addInitializer('w', randomTensor([32, 96], 2, 0.2)),
      extra === 'no-bias' ? null : graph.addInitializer('b', randomTensor([96], 3, extra === 'zero-bias' ? 0 : 0.1)),
      extra === 'mask' ? input('mask', [2, 5], 'int32') : null,
      extra === 'past' ? input('past', [2, 2, 4, 3, 8]) : null,
      extra === 'bias' ? input('position_bias', [2, 4, 5, 5]) : null,
    ]
    const attributes = {
      num_heads: int(4),
      unidirectional: extra === 'unidirectional' ? int(1) : undefined,
      qkv_hidden_sizes: extra === 'sizes' ? ints([32, 32, 32]) : undefined,
    }
    const outputs = extra === 'past' ? 2 : 1
    const node = graph.insert({ op: 'Attention', domain, inputs, attributes, name: 'attention', outputs })
    return Array.from({ length: outputs }, (_, i) => node.output(i))
  })
  model.useDomain(domain)
  const feeds = {
    x: randomTensor([2, 5, 32], 7),
    ...(extra === 'mask' ? { mask: Tensor.from('int32', [2, 5], [1, 1, 1, 0, 0, 1, 1, 1, 1, 1]) } : {}),
    ...(extra === 'past' ? { past: randomTensor([2, 2, 4, 3, 8], 8) } : {}),
    ...(extra === 'bias' ? { position_bias: randomTensor([2, 4, 5, 5], 9) } : {}),
  }
  return { model, feeds }
}

test.each(['mask', 'past', 'unidirectional'] as const)('Attention: %s', async (extra) => {
  const { model, feeds } = attention(extra)
  for (const options of [{}, PLAIN, { weightType: 'uint8' }] as const) {
    const { changes, ops, cosine, model: quantized } = await compareQuantized(model, feeds, options)
    expect(changes).toBe(1)
    expect(unread(quantized)).toEqual([])
    expect(ops).toEqual({ 'com.microsoft:QAttention': 1, DynamicQuantizeLinear: 1 })
    expect(cosine).toBeGreaterThan(0.995)
  }
})

test('Attention without bias: a bias of zeros', async () => {
  // ONNX Runtime does not run the float node without bias, so the quantized ones are compared.
  const [without, zeros] = await Promise.all(
    (['no-bias', 'zero-bias'] as const).map(async (extra) => {
      const { model, feeds } = attention(extra)
      expect((await quantizeDynamic(model)).changes).toBe(1)
      return runModel(model, feeds)
    }),
  )
  expect(Object.values(without!)[0]!.bytes()).toEqual(Object.values(zeros!)[0]!.bytes())
})

test.each([
  ['bias', 'QAttention has no attention_bias'],
  ['sizes', 'QAttention has no qkv_hidden_sizes'],
] as const)('Attention with what QAttention can not do stays float: %s', async (extra, reason) => {
  const { model, feeds } = attention(extra)
  const { changes, notes, outputs } = await compareQuantized(model, feeds)
  expect(changes).toBe(0)
  expect(notes).toEqual([`Attention stays float: ${reason}`])
  expect(Object.keys(outputs)).toHaveLength(1)
})

function lstm(direction: 'forward' | 'bidirectional', attributes = {}) {
  const directions = direction === 'forward' ? 1 : 2
  return buildModel(17, (graph, input) => {
    const inputs = [
      input('x', [6, 2, 5]),
      graph.addInitializer('w', randomTensor([directions, 16, 5], 2, 0.3)),
      graph.addInitializer('r', randomTensor([directions, 16, 4], 3, 0.3)),
      graph.addInitializer('b', randomTensor([directions, 32], 4, 0.1)),
      null,
      input('h', [directions, 2, 4]),
    ]
    const all = { hidden_size: int(4), direction: string(direction), ...attributes }
    const node = graph.insert({ op: 'LSTM', inputs, attributes: all, name: 'lstm', outputs: ['y', null, 'c'] })
    return [node.output(0), node.output(2)]
  })
}

test.each(['forward', 'bidirectional'] as const)('LSTM, %s', async (direction) => {
  const directions = direction === 'forward' ? 1 : 2
  const feeds = { x: randomTensor([6, 2, 5], 7), h: randomTensor([directions, 2, 4], 8) }
  for (const [options, scale] of [
    [{}, [directions, 16]],
    [PLAIN, [directions]],
    [{ weightType: 'uint8' }, [directions, 16]],
  ] as const) {
    const { changes, ops, cosine, model } = await compareQuantized(lstm(direction), feeds, options)
    expect(changes).toBe(1)
    expect(ops).toEqual({ 'com.microsoft:DynamicQuantizeLSTM': 1 })
    expect(cosine).toBeGreaterThan(0.995)
    expect(unread(model)).toEqual([])
    const [node] = nodesOf(model, 'DynamicQuantizeLSTM')
    expect(node!.input(1)!.shape).toEqual([directions, 5, 16])
    expect(node!.input(8)!.shape).toEqual(scale)
    expect(node!.attributes.has('layout')).toBe(false)
  }
})

test('an LSTM with layout=1 stays float', async () => {
  // ONNX Runtime does not run such models, so only the graph can be looked at.
  const model = lstm('forward', { layout: int(1) })
  const { changes, notes } = await quantizeDynamic(model)
  expect(changes).toBe(0)
  expect(notes.map(({ message }) => message)).toEqual([
    'LSTM stays float: DynamicQuantizeLSTM has no batch-first layout',
  ])
})

test('GRU stays float, and says so', async () => {
  const model = buildModel(17, (graph, input) => {
    const inputs = [
      input('x', [6, 2, 5]),
      graph.addInitializer('w', randomTensor([1, 12, 5], 2, 0.3)),
      graph.addInitializer('r', randomTensor([1, 12, 4], 3, 0.3)),
    ]
    return [graph.insert({ op: 'GRU', inputs, attributes: { hidden_size: int(4) }, name: 'gru' }).output()]
  })
  const { changes, notes } = await compareQuantized(model, { x: randomTensor([6, 2, 5], 7) })
  expect(changes).toBe(0)
  expect(notes).toEqual(['GRU stays float: ONNX Runtime has no quantized form of it'])
})

function embed(extra: 'mask' | 'plain' | 'position_ids' | 'sum' | 'no-segments') {
  const model = buildModel(17, (graph, input) => {
    const table = (name: string, rows: number, seed: number) =>
      graph.addInitializer(name, randomTensor([rows, 16], seed, 0.5))
    const segments = extra !== 'no-segments'
    const inputs: (Value | null)[] = [
      input('ids', [2, 5], 'int32'),
      segments ? input('segments', [2, 5], 'int32') : null,
      table('word', 30, 2),
      table('position', 8, 3),
      segments ? table('segment', 2, 4) : null,
      graph.addInitializer('gamma', randomTensor([16], 5)),
      graph.addInitializer('beta', randomTensor([16], 6)),
      extra === 'mask' ? input('mask', [2, 5], 'int32') : null,
      extra === 'position_ids' ? input('positions', [2, 5], 'int32') : null,
    ]
    const outputs = extra === 'sum' ? 3 : 2
    const node = graph.insert({
      op: 'EmbedLayerNormalization',
      domain,
      inputs,
      attributes: { epsilon: float(1e-5) },
      name: 'embed',
      outputs,
    })
    return extra === 'mask' || extra === 'sum' ? node.outputs.map((value) => value!) : [node.output()]
  })
  model.useDomain(domain)
  const integers = (values: number[]) => Tensor.from('int32', [2, 5], values)
  const feeds = {
    ids: integers([1, 2, 3, 29, 0, 5, 6, 7, 8, 9]),
    ...(extra === 'no-segments' ? {} : { segments: integers([0, 0, 1, 1, 1, 0, 0, 0, 1, 1]) }),
    ...(extra === 'mask' ? { mask: integers([1, 1, 1, 0, 0, 1, 1, 1, 1, 1]) } : {}),
    ...(extra === 'position_ids' ? { positions: integers([4, 3, 2, 1, 0, 0, 1, 2, 3, 4]) } : {}),
  }
  return { model, feeds }
}

test.each(['mask', 'plain', 'no-segments'] as const)('EmbedLayerNormalization: %s', async (extra) => {
  const { model, feeds } = embed(extra)
  const { changes, ops, cosine, outputs } = await compareQuantized(model, feeds)
  expect(changes).toBe(1)
  expect(ops).toEqual({ 'com.microsoft:QEmbedLayerNormalization': 1 })
  expect(cosine).toBeGreaterThan(0.999)
  expect(Object.keys(outputs)).toHaveLength(extra === 'mask' ? 2 : 1)
})

test.each([
  ['position_ids', 'QEmbedLayerNormalization has no position_ids'],
  ['sum', 'QEmbedLayerNormalization does not return the sum of the embeddings'],
] as const)(
  'EmbedLayerNormalization with what QEmbedLayerNormalization can not do stays float: %s',
  async (extra, reason) => {
    const { model, feeds } = embed(extra)
    const { changes, notes } = await compareQuantized(model, feeds)
    expect(changes).toBe(0)
    expect(notes).toEqual([`EmbedLayerNormalization stays float: ${reason}`])
  },
)
