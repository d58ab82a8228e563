import { expect, test } from 'vitest'
import { int } from '../../../../src/graph/attributes.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import { tensorType } from '../../../../src/graph/types.ts'
import { codeOf } from '../../../../src/onnx/dtypes.ts'
import { compareQuantized, nodesOf, PLAIN, randomTensor } from '../../../support/dynamic.ts'
import { buildModel } from '../../../support/models.ts'

const one = (dims: readonly number[] = [8, 16], x: readonly (number | string)[] = ['batch', 8]) =>
  buildModel(17, (graph, input) => {
    const w = graph.addInitializer('w', randomTensor(dims, 2, 0.1))
    return [graph.insert({ op: 'MatMul', inputs: [input('x', x), w], name: 'mm', outputs: ['y'] }).output()]
  })

test.each([
  ['per channel', {}, 16],
  ['per tensor', { perChannel: false }, undefined],
  ['uint8', { weightType: 'uint8' }, 16],
  ['reduced range', { reduceRange: true }, 16],
  ['full range', { reduceRange: false }, 16],
  ['asymmetric int8', { weightSymmetric: false }, 16],
  ['the plain recipe', PLAIN, undefined],
] as const)('%s', async (_, options, channels) => {
  const result = await compareQuantized(one(), { x: randomTensor([5, 8], 3) }, options)
  expect(result.changes).toBe(1)
  expect(result.ops).toEqual({ Cast: 1, DynamicQuantizeLinear: 1, MatMulInteger: 1, Mul: 2 })
  // Without VNNI, sums of products with weights of the full range saturate.
  expect(result.cosine).toBeGreaterThan('reduceRange' in options && !options.reduceRange ? 0.97 : 0.999)
  const [product] = nodesOf(result.model, 'MatMulInteger')
  expect(product!.input(1)!.dtype).toBe('weightType' in options ? options.weightType : 'int8')
  const scales = nodesOf(result.model, 'Mul')[0]!.input(1)!
  expect(scales.shape).toEqual(channels ? [channels] : [])
  // The float weight is gone, and so is the name of the node; the output keeps its own.
  expect([...result.model.graph.initializers].map(({ dtype }) => dtype)).not.toContain('float16')
  expect([...result.model.graph.initializers].some(({ name }) => name === 'w')).toBe(false)
})

test('names: those of the reference tool', async () => {
  const { model } = await compareQuantized(one(), { x: randomTensor([5, 8], 3) })
  expect([...model.graph.nodes()].map(({ name }) => name)).toEqual([
    'x_QuantizeLinear',
    'mm_quant_scales_mul',
    'mm_quant',
    'y_output_quantized_cast',
    'mm_quant_output_scale_mul',
  ])
  expect([...model.graph.initializers].map(({ name }) => name)).toEqual(['w_quantized', 'w_scale', 'w_zero_point'])
})

test('stacked matrices: scales and zero points per column', async () => {
  for (const options of [{}, { weightType: 'uint8' }, { perChannel: false }] as const) {
    const model = one([3, 8, 16], ['batch', 3, 5, 8])
    const result = await compareQuantized(model, { x: randomTensor([2, 3, 5, 8], 3) }, options)
    expect(result.changes).toBe(1)
    expect(result.cosine).toBeGreaterThan(0.999)
  }
})

test('a vector on the right side has one scale', async () => {
  const result = await compareQuantized(one([8]), { x: randomTensor([5, 8], 3) })
  expect(result.changes).toBe(1)
  expect(result.cosine).toBeGreaterThan(0.999)
})

test('two products of one activation quantize it once', async () => {
  const model = buildModel(17, (graph, input) => {
    const x = input('x', ['n', 8])
    return [2, 3].map((seed) => {
      const w = graph.addInitializer(`w${seed}`, randomTensor([8, 4], seed))
      return graph.insert({ op: 'MatMul', inputs: [x, w] }).output()
    })
  })
  const { ops } = await compareQuantized(model, { x: randomTensor([5, 8], 3) })
  expect(ops['DynamicQuantizeLinear']).toBe(1)
  expect(ops['MatMulInteger']).toBe(2)
})

test.each(['float16', 'float64'] as const)(
  '%s: quantized through float32, the output keeps its type',
  async (dtype) => {
    const model = buildModel(17, (graph, input) => {
      const numbers = randomTensor([8, 16], 2, 0.1).toNumbers()
      const w = graph.addInitializer('w', Tensor.from(dtype, [8, 16], numbers))
      return [graph.insert({ op: 'MatMul', inputs: [input('x', ['n', 8], dtype), w] }).output()]
    })
    const x = Tensor.from(dtype, [5, 8], randomTensor([5, 8], 3).toNumbers())
    const result = await compareQuantized(model, { x })
    expect(result.changes).toBe(1)
    expect(result.cosine).toBeGreaterThan(0.999)
  },
)

test('a computed right side stays float, unless asked for', async () => {
  const model = buildModel(17, (graph, input) => [
    graph
      .insert({
        op: 'MatMul',
        inputs: [input('x', ['n', 8]), input('z', [8, 4])],
        types: [tensorType('float32', ['n', 4])],
      })
      .output(),
  ])
  const feeds = { x: randomTensor([5, 8], 3), z: randomTensor([8, 4], 4) }
  const left = await compareQuantized(model, feeds)
  expect(left.changes).toBe(0)
  const both = await compareQuantized(model, feeds, { matmulConstOnly: false })
  expect(both.ops).toEqual({ Cast: 1, DynamicQuantizeLinear: 2, MatMulInteger: 1, Mul: 2 })
  expect(both.cosine).toBeGreaterThan(0.999)
})

test('with both sides quantized, products of integers stay as they are', async () => {
  const model = buildModel(17, (graph, input) => {
    const cast = (name: string, dims: readonly number[]) =>
      graph.insert({ op: 'Cast', inputs: [input(name, dims)], attributes: { to: int(codeOf('int32')) } }).output()
    const inputs = [cast('x', [3, 8]), cast('z', [8, 4])]
    return [graph.insert({ op: 'MatMul', inputs, types: [tensorType('int32', [3, 4])] }).output()]
  })
  const feeds = { x: randomTensor([3, 8], 3, 9), z: randomTensor([8, 4], 4, 9) }
  expect((await compareQuantized(model, feeds, { matmulConstOnly: false })).changes).toBe(0)
})
