import { expect, test } from 'vitest'
import { int, ints, tensor } from '../../../../src/graph/attributes.ts'
import type { Graph } from '../../../../src/graph/graph.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import type { Value } from '../../../../src/graph/value.ts'
import { codeOf } from '../../../../src/onnx/dtypes.ts'
import { compareQuantized, quantizeDynamic, randomTensor } from '../../../support/dynamic.ts'
import { buildModel } from '../../../support/models.ts'

const x = randomTensor([5, 8], 3)
const weight = (): Tensor => randomTensor([8, 8], 2, 0.3)
const matmul = (graph: Graph, a: Value, b: Value): Value => graph.insert({ op: 'MatMul', inputs: [a, b] }).output()

/** Names of the constants that are left. */
const names = (graph: Graph): string[] => [...graph.initializers].map(({ name }) => name)

test.each([
  [
    'Constant',
    (graph: Graph) => graph.insert({ op: 'Constant', inputs: [], attributes: { value: tensor(weight()) } }).output(),
  ],
  [
    'Identity',
    (graph: Graph) => graph.insert({ op: 'Identity', inputs: [graph.addInitializer('w', weight())] }).output(),
  ],
  [
    'Cast of float16',
    (graph: Graph) => {
      const half = graph.addInitializer('w', Tensor.from('float16', [8, 8], weight().toNumbers()))
      return graph.insert({ op: 'Cast', inputs: [half], attributes: { to: int(codeOf('float32')) } }).output()
    },
  ],
  [
    'Transpose',
    (graph: Graph) => graph.insert({ op: 'Transpose', inputs: [graph.addInitializer('w', weight())] }).output(),
  ],
  [
    'all of them',
    (graph: Graph) => {
      let at = graph.insert({ op: 'Constant', inputs: [], attributes: { value: tensor(weight()) } }).output()
      at = graph.insert({ op: 'Cast', inputs: [at], attributes: { to: int(codeOf('float16')) } }).output()
      at = graph.insert({ op: 'Transpose', inputs: [at], attributes: { perm: ints([1, 0]) } }).output()
      at = graph.insert({ op: 'Identity', inputs: [at] }).output()
      return graph.insert({ op: 'Cast', inputs: [at], attributes: { to: int(codeOf('float32')) } }).output()
    },
  ],
] as const)('a weight behind %s is found, and what led to it goes', async (_, source) => {
  const model = buildModel(17, (graph, input) => [matmul(graph, input('x', ['n', 8]), source(graph))])
  const { changes, ops, cosine } = await compareQuantized(model, { x })
  expect(changes).toBe(1)
  expect(cosine).toBeGreaterThan(0.999)
  expect(ops).toEqual({ Cast: 1, DynamicQuantizeLinear: 1, MatMulInteger: 1, Mul: 2 })
})

test('a float reader keeps the float copy, once', async () => {
  const model = buildModel(17, (graph, input) => {
    const [a, w] = [input('x', ['n', 8]), graph.addInitializer('w', weight())]
    const norm = graph.insert({ op: 'ReduceL2', inputs: [w] }).output()
    return [matmul(graph, a, w), matmul(graph, a, w), norm]
  })
  const { model: after, cosine } = await compareQuantized(model, { x })
  expect(cosine).toBeGreaterThan(0.999)
  expect(names(after.graph).sort()).toEqual(['w', 'w_quantized', 'w_scale', 'w_zero_point'])
})

test('a weight that is an output of the graph stays one', async () => {
  const model = buildModel(17, (graph, input) => {
    const w = graph.addInitializer('w', weight())
    return [matmul(graph, input('x', ['n', 8]), w), w]
  })
  const { changes, outputs, cosine } = await compareQuantized(model, { x })
  expect(changes).toBe(1)
  expect(cosine).toBeGreaterThan(0.999)
  expect(outputs['w']!.bytes()).toEqual(weight().bytes())
})

test('a weight that callers may override stays float', async () => {
  const model = buildModel(17, (graph, input) => {
    const w = input('w', [8, 8])
    graph.setInitializer(w, weight())
    return [matmul(graph, input('x', ['n', 8]), w)]
  })
  const other = randomTensor([8, 8], 9)
  const { changes } = await compareQuantized(model, { x, w: other })
  expect(changes).toBe(0)
})

test('before IR version 4 initializers are inputs too, and constant', async () => {
  const model = buildModel(
    11,
    (graph, input) => {
      const w = input('w', [8, 8])
      graph.setInitializer(w, weight())
      return [matmul(graph, input('x', ['n', 8]), w)]
    },
    3,
  )
  const { changes, cosine, model: after } = await compareQuantized(model, { x })
  expect(changes).toBe(1)
  expect(cosine).toBeGreaterThan(0.999)
  expect(after.graph.inputs.map(({ name }) => name)).not.toContain('w')
})

test.each([
  ['NaN', [Number.NaN], 'its weight has values that are not finite'],
  ['infinite values', [Number.POSITIVE_INFINITY], 'its weight has values that are not finite'],
])('a weight with %s stays float, and says so', async (_, bad, reason) => {
  const model = buildModel(17, (graph, input) => {
    const values = weight().toNumbers()
    values.splice(5, 1, ...bad)
    return [matmul(graph, input('x', ['n', 8]), graph.addInitializer('w', Tensor.float32([8, 8], values)))]
  })
  const { changes, notes } = await quantizeDynamic(model)
  expect(changes).toBe(0)
  expect(notes.map(({ message }) => message)).toEqual([`MatMul stays float: ${reason}`])
})

test('a weight without elements stays float, and says so', async () => {
  const model = buildModel(17, (graph, input) => [
    matmul(graph, input('x', ['n', 0]), graph.addInitializer('w', Tensor.float32([0, 4], []))),
  ])
  const { changes, notes } = await compareQuantized(model, { x: Tensor.float32([5, 0], []) })
  expect(changes).toBe(0)
  expect(notes).toEqual(['MatMul stays float: its weight has no elements'])
})

test('a weight of zeros, and one with a column of zeros', async () => {
  for (const columns of [0, 7]) {
    const values = weight()
      .float32()
      .map((value, i) => (i % 8 < columns ? value : 0))
    const model = buildModel(17, (graph, input) => [
      matmul(graph, input('x', ['n', 8]), graph.addInitializer('w', Tensor.float32([8, 8], values))),
    ])
    for (const weightType of ['int8', 'uint8'] as const)
      expect((await compareQuantized(model, { x }, { weightType })).cosine).toBeGreaterThan(0.999)
  }
})
