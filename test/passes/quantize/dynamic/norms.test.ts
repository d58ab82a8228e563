import { describe, expect, test } from 'vitest'
import { float, int } from '../../../../src/graph/attributes.ts'
import type { Graph } from '../../../../src/graph/graph.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import type { Value } from '../../../../src/graph/value.ts'
import { compareQuantized, randomTensor } from '../../../support/dynamic.ts'
import { buildModel } from '../../../support/models.ts'

const WIDTH = 32
const x = randomTensor([6, WIDTH], 3)

/** One channel is 8 times as wide as the others. */
const gamma = (): Tensor =>
  Tensor.float32(
    [WIDTH],
    Float32Array.from({ length: WIDTH }, (_, i) => (i === 5 ? 8 : 1 + (i % 3) / 10)),
  )
const beta = (): Tensor => randomTensor([WIDTH], 4, 0.1)

/** As training leaves it: the row that meets the wide channel is small. */
const weight = (): Tensor => {
  const values = randomTensor([WIDTH, 16], 2, 0.2).float32()
  return Tensor.float32(
    [WIDTH, 16],
    values.map((value, i) => (Math.floor(i / 16) === 5 ? value / 8 : value)),
  )
}

type Norm = (graph: Graph, x: Value, gamma: Value, beta: Value) => Value

const layerNorm: Norm = (graph, x, gamma, beta) =>
  graph.insert({ op: 'LayerNormalization', inputs: [x, gamma, beta], name: 'norm', outputs: ['normed'] }).output()

/** x / sqrt(mean(x²) + 1e-5) */
const rms = (graph: Graph, x: Value, by: 'Div' | 'Reciprocal'): Value => {
  const square = graph.insert({ op: 'Mul', inputs: [x, x] }).output()
  const mean = graph.insert({ op: 'ReduceMean', inputs: [square] }).output()
  const root = graph.insert({ op: 'Sqrt', inputs: [mean] }).output()
  if (by === 'Div') return graph.insert({ op: 'Div', inputs: [x, root] }).output()
  return graph.insert({ op: 'Mul', inputs: [x, graph.insert({ op: 'Reciprocal', inputs: [root] }).output()] }).output()
}

const shapes: readonly (readonly [string, Norm])[] = [
  ['LayerNormalization', layerNorm],
  [
    'Mul and Add behind a Div',
    (graph, x, gamma, beta) => {
      const scaled = graph.insert({ op: 'Mul', inputs: [rms(graph, x, 'Div'), gamma] }).output()
      return graph.insert({ op: 'Add', inputs: [beta, scaled] }).output()
    },
  ],
  [
    'Mul behind a Reciprocal',
    (graph, x, gamma) => graph.insert({ op: 'Mul', inputs: [gamma, rms(graph, x, 'Reciprocal')] }).output(),
  ],
]

function model(norm: Norm, readers: (graph: Graph, normed: Value, w: Value) => readonly Value[]) {
  return buildModel(17, (graph, input) => {
    const [g, b] = [graph.addInitializer('gamma', gamma()), graph.addInitializer('beta', beta())]
    const normed = norm(graph, input('x', ['n', WIDTH]), g, b)
    return readers(graph, normed, graph.addInitializer('w', weight()))
  })
}

const multiply = (graph: Graph, a: Value, w: Value): Value => graph.insert({ op: 'MatMul', inputs: [a, w] }).output()

describe.each(shapes)('%s', (_, norm) => {
  test('one wide channel does not cost the others their precision', async () => {
    const make = () => model(norm, (graph, normed, w) => [multiply(graph, normed, w)])
    const smooth = await compareQuantized(make(), { x }, { floatOutliers: false })
    const rough = await compareQuantized(make(), { x }, { smoothNorms: false, floatOutliers: false })
    expect(1 - smooth.cosine).toBeLessThan(0.5 * (1 - rough.cosine))
    // Nobody else reads the norm: no node more.
    expect(smooth.ops).toEqual(rough.ops)
    expect([...smooth.model.graph.initializers].map(({ name }) => name)).not.toContain('gamma')
  })

  test('other readers, and outputs of the graph, see what they saw', async () => {
    const make = () =>
      model(norm, (graph, normed, w) => [
        multiply(graph, normed, w),
        normed,
        graph.insert({ op: 'Relu', inputs: [normed] }).output(),
      ])
    const smooth = await compareQuantized(make(), { x })
    const float = await compareQuantized(make(), { x }, { excludeOps: ['MatMul'] })
    const [, normed, relu] = Object.keys(smooth.outputs)
    for (const name of [normed!, relu!]) {
      const [a, b] = [smooth.outputs[name]!.float32(), float.outputs[name]!.float32()]
      a.forEach((value, i) => void expect(Math.abs(value - b[i]!)).toBeLessThanOrEqual(1e-6 * (1 + Math.abs(b[i]!))))
    }
  })
})

describe('left as it is', () => {
  const mul = (smooth: Awaited<ReturnType<typeof compareQuantized>>) => smooth.ops['Mul']

  test.each([
    [
      'the weight has another reader',
      (graph: Graph, normed: Value, w: Value) => [
        multiply(graph, normed, w),
        graph.insert({ op: 'Relu', inputs: [w] }).output(),
      ],
    ],
    [
      'the product is by a computed matrix',
      (graph: Graph, normed: Value, w: Value) => [
        multiply(graph, normed, graph.insert({ op: 'Relu', inputs: [w] }).output()),
      ],
    ],
    [
      'the Gemm transposes the norm',
      (graph: Graph, normed: Value) => {
        const w = graph.addInitializer('v', randomTensor([6, 16], 2))
        return [graph.insert({ op: 'Gemm', inputs: [normed, w], attributes: { transA: int(1) } }).output()]
      },
    ],
  ] as const)('%s', async (_, readers) => {
    const result = await compareQuantized(model(layerNorm, readers), { x })
    const rough = await compareQuantized(model(layerNorm, readers), { x }, { smoothNorms: false })
    expect(result.ops).toEqual(rough.ops)
    expect([...result.model.graph.initializers].map(({ name }) => name)).toContain('gamma')
  })

  test('channels of like width', async () => {
    const even = buildModel(17, (graph, input) => {
      const ones = graph.addInitializer('gamma', Tensor.float32([WIDTH], new Float32Array(WIDTH).fill(1)))
      const normed = layerNorm(graph, input('x', ['n', WIDTH]), ones, graph.addInitializer('beta', beta()))
      return [multiply(graph, normed, graph.addInitializer('w', randomTensor([WIDTH, 16], 2))), normed]
    })
    const result = await compareQuantized(even, { x })
    expect(mul(result)).toBe(2)
    expect([...result.model.graph.initializers].map(({ name }) => name)).toContain('gamma')
  })

  test('a Mul by a constant that follows no norm', async () => {
    const scaled: Norm = (graph, x, gamma) => graph.insert({ op: 'Mul', inputs: [x, gamma] }).output()
    const result = await compareQuantized(
      model(scaled, (graph, value, w) => [multiply(graph, value, w)]),
      { x },
    )
    expect([...result.model.graph.initializers].map(({ name }) => name)).toContain('gamma')
  })

  test('an excluded product', async () => {
    const make = model(layerNorm, (graph, normed, w) => [
      graph.insert({ op: 'MatMul', inputs: [normed, w], name: 'kept' }).output(),
    ])
    expect((await compareQuantized(make, { x }, { excludeNodes: ['kept'] })).changes).toBe(0)
  })
})

test('the fused Attention of a norm', async () => {
  const fused = model(layerNorm, (graph, normed) => {
    const w = graph.addInitializer('qkv', randomTensor([WIDTH, 3 * WIDTH], 2, 0.2))
    const b = graph.addInitializer('b', randomTensor([3 * WIDTH], 6, 0.1))
    const one = graph.addInitializer('axes', Tensor.int64([0]))
    const batch = graph.insert({ op: 'Unsqueeze', inputs: [normed, one] }).output()
    const attributes = { num_heads: int(4), scale: float(0.3) }
    return [graph.insert({ op: 'Attention', domain: 'com.microsoft', inputs: [batch, w, b], attributes }).output()]
  })
  fused.useDomain('com.microsoft')
  expect((await compareQuantized(fused, { x })).cosine).toBeGreaterThan(0.98)
})
