import { expect, test } from 'vitest'
import { int, ints, string } from '../../../../src/graph/attributes.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import { codeOf } from '../../../../src/onnx/dtypes.ts'
import { compareQuantized, nodesOf, randomTensor } from '../../../support/dynamic.ts'
import { buildModel } from '../../../support/models.ts'

/** Output channels of very different magnitude: what one scale for all can't hold. */
function uneven(dims: readonly number[]): Tensor {
  const values = randomTensor(dims, 2, 0.2).float32()
  const inner = values.length / dims[0]!
  return Tensor.float32(
    dims,
    values.map((value, i) => value * 10 ** -(Math.floor(i / inner) % 3)),
  )
}

const conv = (
  weight: readonly number[],
  x: readonly number[],
  attributes = {},
  bias: 'constant' | 'input' | 'none' = 'constant',
) =>
  buildModel(17, (graph, input) => {
    const w = graph.addInitializer('w', uneven(weight))
    const b =
      bias === 'input' ? input('b', [weight[0]!]) : graph.addInitializer('b', randomTensor([weight[0]!], 4, 0.1))
    const inputs = [input('x', x), w, ...(bias === 'none' ? [] : [b])]
    return [graph.insert({ op: 'Conv', inputs, attributes, name: 'conv' }).output()]
  })

test.each([
  ['2-D', [6, 4, 3, 3], [1, 4, 8, 8], {}],
  ['1-D', [6, 4, 3], [2, 4, 9], { pads: ints([1, 1]) }],
  ['3-D', [6, 2, 3, 3, 3], [1, 2, 5, 5, 5], {}],
  ['depthwise', [6, 1, 3, 3], [1, 6, 8, 8], { group: int(6) }],
  [
    'strides, dilations and SAME',
    [6, 4, 3, 3],
    [1, 4, 9, 9],
    { strides: ints([2, 1]), auto_pad: string('SAME_UPPER') },
  ],
] as const)('%s: a scale for each output channel', async (_, weight, x, attributes) => {
  for (const weightType of ['uint8', 'int8'] as const) {
    const result = await compareQuantized(conv(weight, x, attributes), { x: randomTensor(x, 3) }, { weightType })
    expect(result.changes).toBe(1)
    expect(result.ops).toEqual({ Add: 1, Cast: 1, ConvInteger: 1, DynamicQuantizeLinear: 1, Mul: 2 })
    expect(result.cosine).toBeGreaterThan(0.999)
    expect(nodesOf(result.model, 'ConvInteger')[0]!.input(3)!.shape).toEqual([])
  }
})

test('channels of small magnitude keep their precision, other than with one scale', async () => {
  const x = [1, 4, 8, 8]
  const model = conv([6, 4, 3, 3], x, {}, 'none')
  const small = async (perChannel: boolean): Promise<number> => {
    const { outputs } = await compareQuantized(model, { x: randomTensor(x, 3) }, { perChannel })
    const exact = await compareQuantized(model, { x: randomTensor(x, 3) }, { excludeOps: ['Conv'] })
    const [a, b] = [outputs, exact.outputs].map((result) => Object.values(result)[0]!.float32().subarray(72, 108))
    return a!.reduce((sum, value, i) => sum + Math.abs(value - b![i]!), 0)
  }
  expect(await small(true)).toBeLessThan(0.3 * (await small(false)))
})

test('bias: constant, computed, none', async () => {
  const x = [1, 4, 8, 8]
  for (const bias of ['constant', 'input', 'none'] as const) {
    const feeds = { x: randomTensor(x, 3), ...(bias === 'input' ? { b: randomTensor([6], 5) } : {}) }
    const { changes, cosine, ops } = await compareQuantized(conv([6, 4, 3, 3], x, {}, bias), feeds)
    expect(changes).toBe(1)
    expect(cosine).toBeGreaterThan(0.999)
    expect(ops['Reshape'] ?? 0).toBe(bias === 'input' ? 1 : 0)
  }
})

test('two Convs share weight and bias: both are quantized once', async () => {
  const model = buildModel(17, (graph, input) => {
    const w = graph.addInitializer('w', randomTensor([4, 4, 3, 3], 2, 0.2))
    const b = graph.addInitializer('b', randomTensor([4], 4))
    const attributes = { pads: ints([1, 1, 1, 1]) }
    const first = graph.insert({ op: 'Conv', inputs: [input('x', [1, 4, 8, 8]), w, b], attributes }).output()
    return [graph.insert({ op: 'Conv', inputs: [first, w, b], attributes }).output()]
  })
  const { model: after, cosine } = await compareQuantized(model, { x: randomTensor([1, 4, 8, 8], 3) })
  expect(cosine).toBeGreaterThan(0.999)
  expect([...after.graph.initializers].map(({ name }) => name).sort()).toEqual([
    'b_channels',
    'w_quantized',
    'w_scale_channels',
    'w_zero_point',
  ])
})

test('weight and bias behind a Cast from float16', async () => {
  const model = buildModel(17, (graph, input) => {
    const half = (name: string, dims: readonly number[]) => {
      const tensor = Tensor.from('float16', dims, randomTensor(dims, 2, 0.2).toNumbers())
      const inputs = [graph.addInitializer(name, tensor)]
      return graph.insert({ op: 'Cast', inputs, attributes: { to: int(codeOf('float32')) } }).output()
    }
    return [
      graph
        .insert({ op: 'Conv', inputs: [input('x', [1, 4, 8, 8]), half('w', [6, 4, 3, 3]), half('b', [6])] })
        .output(),
    ]
  })
  const { changes, cosine, model: after } = await compareQuantized(model, { x: randomTensor([1, 4, 8, 8], 3) })
  expect(changes).toBe(1)
  expect(cosine).toBeGreaterThan(0.999)
  expect([...after.graph.initializers].some(({ name }) => name === 'w')).toBe(false)
})
