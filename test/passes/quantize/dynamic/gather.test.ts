import { expect, test } from 'vitest'
import { int, ints } from '../../../../src/graph/attributes.ts'
import type { Model } from '../../../../src/graph/model.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import { compareQuantized, nodesOf, PLAIN, randomTensor } from '../../../support/dynamic.ts'
import { buildModel } from '../../../support/models.ts'

const ids = Tensor.int64([3, 0, 19, 7], [2, 2])

const embedding = (opset = 17, axis = 0, dtype: 'float32' | 'float16' = 'float32'): Model =>
  buildModel(opset, (graph, input) => {
    const values = randomTensor([20, 20], 2)
    const table = graph.addInitializer('table', Tensor.from(dtype, [20, 20], values.toNumbers()))
    const inputs = [table, input('ids', [2, 2], 'int64')]
    return [graph.insert({ op: 'Gather', inputs, attributes: { axis: int(axis) }, name: 'emb' }).output()]
  })

test('a scale for each column, at the cost of one for all', async () => {
  const { changes, ops, cosine, model } = await compareQuantized(embedding(), { ids })
  expect(changes).toBe(1)
  expect(ops).toEqual({ DequantizeLinear: 1, Gather: 1 })
  expect(cosine).toBeGreaterThan(0.9999)
  expect(nodesOf(model, 'DequantizeLinear')[0]!.input(1)!.shape).toEqual([20])
})

test.each([
  ['the plain recipe', embedding(), PLAIN],
  ['DequantizeLinear without axis (opset 11)', embedding(11), {}],
  ['the gathered axis is the last', embedding(17, 1), {}],
  ['counted from the end', embedding(17, -1), {}],
])('one scale: %s', async (_, model, options) => {
  const result = await compareQuantized(model, { ids }, options)
  expect(result.ops).toEqual({ DequantizeLinear: 1, Gather: 1 })
  expect(result.cosine).toBeGreaterThan(0.999)
  expect(nodesOf(result.model, 'DequantizeLinear')[0]!.input(1)!.shape).toEqual([])
})

test('float16 tables give float16', async () => {
  const { changes, cosine } = await compareQuantized(embedding(17, 0, 'float16'), { ids })
  expect(changes).toBe(1)
  expect(cosine).toBeGreaterThan(0.9999)
})

test('integer tables and computed tables are left alone', async () => {
  const model = buildModel(17, (graph, input) => {
    const at = input('ids', [2, 2], 'int64')
    const shapes = graph.addInitializer(
      'shapes',
      Tensor.int64([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]),
    )
    return [shapes, input('x', [20, 3])].map((data) => graph.insert({ op: 'Gather', inputs: [data, at] }).output())
  })
  expect((await compareQuantized(model, { ids, x: randomTensor([20, 3]) })).changes).toBe(0)
})

/** With one scale, what was gathered is quantized already: products take it as it is, and Transpose moves the codes. */
test('a product reads the gathered codes', async () => {
  const model = buildModel(17, (graph, input) => {
    const table = graph.addInitializer('table', randomTensor([20, 8], 2))
    const rows = graph.insert({ op: 'Gather', inputs: [table, input('ids', [2, 2], 'int64')] }).output()
    const w = graph.addInitializer('w', randomTensor([8, 6], 3))
    const moved = graph.insert({ op: 'Transpose', inputs: [rows], attributes: { perm: ints([1, 0, 2]) } }).output()
    return [graph.insert({ op: 'MatMul', inputs: [moved, w] }).output()]
  })
  const { ops, cosine } = await compareQuantized(model, { ids }, PLAIN)
  expect(ops).toEqual({ Cast: 1, Gather: 1, MatMulInteger: 1, Mul: 2, Transpose: 1 })
  expect(cosine).toBeGreaterThan(0.999)
})

test('where floats are read as well, they come from the codes', async () => {
  const model = buildModel(17, (graph, input) => {
    const table = graph.addInitializer('table', randomTensor([20, 8], 2))
    const rows = graph.insert({ op: 'Gather', inputs: [table, input('ids', [2, 2], 'int64')] }).output()
    const moved = graph.insert({ op: 'Transpose', inputs: [rows], attributes: { perm: ints([1, 0, 2]) } }).output()
    return [graph.insert({ op: 'Relu', inputs: [rows] }).output(), moved]
  })
  const { ops, cosine } = await compareQuantized(model, { ids }, PLAIN)
  expect(ops).toEqual({ DequantizeLinear: 2, Gather: 1, Relu: 1, Transpose: 1 })
  expect(cosine).toBeGreaterThan(0.999)
})

/** With `copy` the product reads a transposed copy, as exporters write tied weights. */
const tied = (how: 'Transpose' | 'Gemm' | 'copy' | 'other'): Model =>
  buildModel(17, (graph, input) => {
    const table = graph.addInitializer('table', randomTensor([64, 32], 2))
    const rows = graph.insert({ op: 'Gather', inputs: [table, input('ids', [4], 'int64')] }).output()
    if (how === 'Gemm')
      return [graph.insert({ op: 'Gemm', inputs: [rows, table], attributes: { transB: int(1) } }).output()]
    if (how === 'copy' || how === 'other') {
      const values = table.tensor!.float32()
      const copy = Float32Array.from({ length: 64 * 32 }, (_, i) => values[(i % 64) * 32 + Math.floor(i / 64)]!)
      if (how === 'other') copy[1000]! += 1e-3
      const w = graph.addInitializer('copy', Tensor.float32([32, 64], copy))
      return [graph.insert({ op: 'MatMul', inputs: [rows, w] }).output()]
    }
    const turned = graph.insert({ op: 'Transpose', inputs: [table], attributes: { perm: ints([1, 0]) } }).output()
    return [graph.insert({ op: 'MatMul', inputs: [rows, turned] }).output()]
  })

test.each(['Transpose', 'Gemm'] as const)('a tied embedding is stored once (%s)', async (how) => {
  for (const options of [{}, PLAIN, { weightType: 'uint8' }, { perChannel: false }] as const) {
    const feeds = { ids: Tensor.int64([3, 0, 19, 63]) }
    const { changes, cosine, model } = await compareQuantized(tied(how), feeds, options)
    expect(changes).toBe(2)
    expect(cosine).toBeGreaterThan(0.999)
    const large = [...model.graph.initializers].filter(({ tensor }) => tensor!.elementCount >= 64 * 32)
    expect(large.map(({ name }) => name)).toEqual(['table_quantized'])
  }
})

test('a tied embedding of which one side stays float keeps its floats', async () => {
  const feeds = { ids: Tensor.int64([3, 0, 19, 63]) }
  const { cosine, model } = await compareQuantized(tied('Transpose'), feeds, { excludeOps: ['MatMul'] })
  expect(cosine).toBeGreaterThan(0.999)
  expect([...model.graph.initializers].map(({ name }) => name)).toContain('table')
})

test('a transposed copy of a table goes; a matrix that differs in one element stays', async () => {
  const feeds = { ids: Tensor.int64([3, 0, 19, 63]) }
  const large = async (how: 'copy' | 'other', options = {}) => {
    const { cosine, model } = await compareQuantized(tied(how), feeds, options)
    expect(cosine).toBeGreaterThan(0.999)
    return [...model.graph.initializers].filter(({ tensor }) => tensor!.elementCount >= 64 * 32).map(({ name }) => name)
  }
  expect(await large('copy')).toEqual(['table_quantized'])
  expect(await large('other')).toEqual(['table_quantized', 'copy_quantized'])
  expect(await large('copy', { perChannel: false })).toEqual(['table_quantized', 'copy_quantized'])
})
