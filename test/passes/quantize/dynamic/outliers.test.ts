import { expect, test } from 'vitest'
import { type Attributes, float, int } from '../../../../src/graph/attributes.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import { compareQuantized, randomTensor } from '../../../support/dynamic.ts'
import { buildModel } from '../../../support/models.ts'

const K = 64

/** A matrix of which `rows` are a hundred times as large as the others. */
function matrix(rows: readonly number[], transposed = false): Tensor {
  const values = randomTensor([K, 16], 2, 0.05).float32()
  const large = values.map((value, i) => (rows.includes(Math.floor(i / 16)) ? value * 100 : value))
  if (!transposed) return Tensor.float32([K, 16], large)
  return Tensor.float32(
    [16, K],
    Float32Array.from({ length: 16 * K }, (_, i) => large[(i % K) * 16 + Math.floor(i / K)]!),
  )
}

/** Activations of which those channels are large too. */
const activations = (rows: readonly number[]): Tensor => {
  const values = randomTensor([6, K], 3).float32()
  return Tensor.float32(
    [6, K],
    values.map((value, i) => (rows.includes(i % K) ? value * 30 : value)),
  )
}

const model = (rows: readonly number[], gemm?: Attributes, transposed = false) =>
  buildModel(17, (graph, input) => {
    const w = graph.addInitializer('w', matrix(rows, transposed))
    const inputs = [input('x', [6, K]), w]
    return [graph.insert(gemm ? { op: 'Gemm', inputs, attributes: gemm } : { op: 'MatMul', inputs }).output()]
  })

/** Sum of squared errors over that of the values. */
async function error(rows: readonly number[], options: object, gemm?: Attributes, transposed = false): Promise<number> {
  const feeds = { x: activations(rows) }
  const make = () => model(rows, gemm, transposed)
  const { outputs } = await compareQuantized(make(), feeds, options)
  const exact = await compareQuantized(make(), feeds, { excludeNodes: ['**'] })
  const [a, b] = [Object.values(outputs)[0]!.float32(), Object.values(exact.outputs)[0]!.float32()]
  const sum = (values: Float32Array) => values.reduce((total, value) => total + value * value, 0)
  return sum(a.map((value, i) => value - b[i]!)) / sum(b)
}

test('rows that dwarf the others are multiplied in float', async () => {
  const { ops, model: after } = await compareQuantized(model([7, 30]), { x: activations([7, 30]) })
  expect(ops).toEqual({ Add: 1, Cast: 1, DynamicQuantizeLinear: 1, Gather: 1, MatMul: 1, MatMulInteger: 1, Mul: 3 })
  const indices = [...after.graph.initializers].find(({ name }) => name.endsWith('_outliers'))!
  expect(indices.tensor!.toNumbers()).toEqual([7, 30])
  expect(await error([7, 30], {})).toBeLessThan(0.05 * (await error([7, 30], { floatOutliers: false })))
})

test.each([
  ['transB', { transB: int(1) }, true],
  ['alpha', { alpha: float(-2) }, false],
])('Gemm with %s', async (_, gemm, transposed) => {
  expect(await error([7], {}, gemm, transposed)).toBeLessThan(
    0.05 * (await error([7], { floatOutliers: false }, gemm, transposed)),
  )
})

test('float16', async () => {
  const half = (tensor: Tensor) => Tensor.from('float16', tensor.dims, tensor.toNumbers())
  const make = buildModel(17, (graph, input) => [
    graph
      .insert({ op: 'MatMul', inputs: [input('x', [6, K], 'float16'), graph.addInitializer('w', half(matrix([7])))] })
      .output(),
  ])
  const { cosine, ops } = await compareQuantized(make, { x: half(activations([7])) })
  expect(ops['Gather']).toBe(1)
  expect(cosine).toBeGreaterThan(0.9999)
})

test.each([
  ['there are none', []],
  ['there are too many', [1, 2, 3, 4, 5]],
])('all in integers where %s', async (_, rows) => {
  const { ops } = await compareQuantized(model(rows), { x: activations(rows) })
  expect(ops).toEqual({ Cast: 1, DynamicQuantizeLinear: 1, MatMulInteger: 1, Mul: 2 })
})

test('two products of one activation with outliers at the same place share what is left of it', async () => {
  const make = buildModel(17, (graph, input) => {
    const x = input('x', [6, K])
    return [1, 2].map((i) =>
      graph.insert({ op: 'MatMul', inputs: [x, graph.addInitializer(`w${i}`, matrix([7]))] }).output(),
    )
  })
  const { ops } = await compareQuantized(make, { x: activations([7]) })
  expect(ops['DynamicQuantizeLinear']).toBe(1)
})
