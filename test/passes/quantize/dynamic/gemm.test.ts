import fc from 'fast-check'
import { expect, test } from 'vitest'
import { float, int } from '../../../../src/graph/attributes.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import { compareQuantized, randomTensor } from '../../../support/dynamic.ts'
import { buildModel } from '../../../support/models.ts'

interface Case {
  alpha: number
  beta: number
  transA: boolean
  transB: boolean
  c: 'none' | 'vector' | 'scalar' | 'row' | 'column' | 'input'
}

function gemm({ alpha, beta, transA, transB, c }: Case) {
  return buildModel(17, (graph, input) => {
    const a = input('x', transA ? [8, 5] : [5, 8])
    const b = graph.addInitializer('b', randomTensor(transB ? [6, 8] : [8, 6], 2, 0.3))
    const dims = { vector: [6], scalar: [], row: [1, 6], column: [5, 1], input: [5, 6], none: [] }[c]
    const addend =
      c === 'none' ? [] : [c === 'input' ? input('c', dims) : graph.addInitializer('c', randomTensor(dims, 4))]
    const attributes = {
      alpha: alpha === 1 ? undefined : float(alpha),
      beta: beta === 1 ? undefined : float(beta),
      transA: transA ? int(1) : undefined,
      transB: transB ? int(1) : undefined,
    }
    return [graph.insert({ op: 'Gemm', inputs: [a, b, ...addend], attributes, name: 'gemm' }).output()]
  })
}

test('every combination of attributes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        alpha: fc.constantFrom(1, 0.5, -2),
        beta: fc.constantFrom(1, 0, 0.5, -3),
        transA: fc.boolean(),
        transB: fc.boolean(),
        c: fc.constantFrom('none', 'vector', 'scalar', 'row', 'column', 'input'),
      } as const),
      fc.constantFrom({}, { weightType: 'uint8' as const }, { perChannel: false }),
      async (which: Case, options) => {
        const feeds = {
          x: randomTensor(which.transA ? [8, 5] : [5, 8], 3),
          ...(which.c === 'input' ? { c: randomTensor([5, 6], 5) } : {}),
        }
        const result = await compareQuantized(gemm(which), feeds, options)
        expect(result.changes).toBe(1)
        expect(result.ops['Gemm']).toBeUndefined()
        expect(result.cosine).toBeGreaterThan(0.999)
      },
    ),
    { numRuns: 60 },
  )
})

test('two Gemms with one transposed B: transposed once, quantized once', async () => {
  const model = buildModel(17, (graph, input) => {
    const b = graph.addInitializer('b', randomTensor([8, 8], 2, 0.3))
    const attributes = { transB: int(1) }
    const first = graph.insert({ op: 'Gemm', inputs: [input('x', [5, 8]), b], attributes }).output()
    return [graph.insert({ op: 'Gemm', inputs: [first, b], attributes }).output()]
  })
  const { model: after, cosine } = await compareQuantized(model, { x: randomTensor([5, 8], 3) })
  expect(cosine).toBeGreaterThan(0.999)
  expect([...after.graph.initializers].filter(({ dtype }) => dtype === 'int8').map(({ name }) => name)).toEqual([
    'b_quantized',
    'b_zero_point',
  ])
})

test('B and its transpose are two layouts of one weight', async () => {
  const model = buildModel(17, (graph, input) => {
    const b = graph.addInitializer('b', randomTensor([8, 8], 2, 0.3))
    const x = input('x', [5, 8])
    return [0, 1].map((transB) =>
      graph.insert({ op: 'Gemm', inputs: [x, b], attributes: { transB: int(transB) } }).output(),
    )
  })
  expect((await compareQuantized(model, { x: randomTensor([5, 8], 3) })).cosine).toBeGreaterThan(0.999)
})

test('an excluded Gemm keeps its form, by its own name', async () => {
  const model = gemm({ alpha: 1, beta: 1, transA: false, transB: true, c: 'vector' })
  for (const options of [{ excludeNodes: ['gemm'] }, { excludeOps: ['Gemm'] }, { ops: ['MatMul'] }]) {
    const { changes, ops } = await compareQuantized(model, { x: randomTensor([5, 8], 3) }, options)
    expect(changes).toBe(0)
    expect(ops).toEqual({ Gemm: 1 })
  }
})

test('a computed B stays float, and says so', async () => {
  const model = buildModel(17, (graph, input) => [
    graph.insert({ op: 'Gemm', inputs: [input('x', [5, 8]), input('b', [8, 6])], name: 'g' }).output(),
  ])
  const feeds = { x: randomTensor([5, 8], 3), b: randomTensor([8, 6], 4) }
  const { changes, notes } = await compareQuantized(model, feeds)
  expect(changes).toBe(0)
  expect(notes).toEqual(['Gemm stays float: its weight is computed at run time'])
})

test('float16 with beta', async () => {
  const half = (tensor: Tensor) => Tensor.from('float16', tensor.dims, tensor.toNumbers())
  const model = buildModel(17, (graph, input) => {
    const b = graph.addInitializer('b', half(randomTensor([8, 6], 2, 0.3)))
    const inputs = [input('x', [5, 8], 'float16'), b, input('c', [6], 'float16')]
    return [graph.insert({ op: 'Gemm', inputs, attributes: { beta: float(0.5) } }).output()]
  })
  const feeds = { x: half(randomTensor([5, 8], 3)), c: half(randomTensor([6], 4)) }
  const { changes, cosine } = await compareQuantized(model, feeds)
  expect(changes).toBe(1)
  expect(cosine).toBeGreaterThan(0.999)
})
