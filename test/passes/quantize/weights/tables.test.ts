import { describe, expect, test } from 'vitest'
import { int, ints } from '../../../../src/graph/attributes.ts'
import type { Graph } from '../../../../src/graph/graph.ts'
import type { Model } from '../../../../src/graph/model.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import { tensorType } from '../../../../src/graph/types.ts'
import type { Value } from '../../../../src/graph/value.ts'
import type { WeightOptions } from '../../../../src/passes/quantize/weights/index.ts'
import { buildModel, bytesOf, copyOf, runModel } from '../../../support/models.ts'
import { noise } from '../../../support/rules.ts'
import { quantizeWeights } from '../../../support/weights.ts'

function table(graph: Graph, dims: readonly number[]): Value {
  const count = dims.reduce((product, dim) => product * dim, 1)
  return graph.addInitializer('table', Tensor.float32(dims, noise(count, 3)))
}

function gatherModel(dims: readonly number[], axis = 0, opset = 17): Model {
  return buildModel(opset, (graph, input) => [
    graph
      .insert({
        op: 'Gather',
        inputs: [table(graph, dims), input('ids', [2, 3], 'int64')],
        attributes: { axis: int(axis) },
        outputs: ['y0'],
        types: [tensorType('float32')],
      })
      .output(),
  ])
}

const ids = { ids: Tensor.int64([0, 5, 1, 7, 7, 2], [2, 3]) }

async function worst(model: Model, feeds: Record<string, Tensor>, options: Partial<WeightOptions>): Promise<number> {
  const expected = await runModel(copyOf(model), feeds)
  await quantizeWeights(model, options)
  const actual = await runModel(copyOf(model), feeds)
  let most = 0
  for (const [name, wanted] of Object.entries(expected)) {
    expect(actual[name]!.dims).toEqual(wanted.dims)
    const got = actual[name]!.toNumbers()
    wanted.toNumbers().forEach((value, i) => {
      most = Math.max(most, Math.abs(got[i]! - value))
    })
  }
  return most
}

/** Half a step of numbers in -1..1, with room for float16 scales. */
const STEP = { 2: 0.7, 4: 0.14, 8: 0.009 } as const

describe('Gather becomes GatherBlockQuantized', () => {
  test.each([
    [[10, 64], 0],
    [[10, 48], 0], // rows end within a block
    [[10, 33], 0], // rows end within a byte
    [[64, 10], 1],
    [[3, 10, 32], 1],
    [[8, 4, 32], 0],
    [[10, 16], -2],
  ] as const)('table %j along axis %i', async (dims, axis) => {
    for (const symmetric of [true, false])
      for (const bits of [2, 4, 8] as const) {
        const model = gatherModel(dims, axis)
        const most = await worst(model, ids, { bits, symmetric, mixedBits: false })
        expect(most, `${bits} ${symmetric}`).toBeLessThan(STEP[bits])
        const isInt4 = axis === 1 || dims.at(-1)! % (8 / bits) > 0
        const name = isInt4 && bits !== 4 ? 'Gather' : 'com.microsoft:GatherBlockQuantized'
        expect(model.histogram()[name]).toBe(1)
      }
  })

  test('small tables, those of other types and, on request, all stay', async () => {
    for (const [model, options] of [
      [gatherModel([8, 2]), {}],
      [gatherModel([64]), {}],
      [gatherModel([10, 64]), { embeddings: false }],
      [gatherModel([10, 64]), { excludeOps: ['Gather'] }],
    ] as const) {
      const before = bytesOf(model)
      expect((await quantizeWeights(model, options)).changes).toBe(0)
      expect(Buffer.compare(bytesOf(model), before)).toBe(0)
    }
  })
})

/** A table that gives embeddings and, transposed, the scores of the result: as a Transpose and MatMul, or as a Gemm. */
function tiedModel(width: number, gemm: boolean): Model {
  return buildModel(17, (graph, input) => {
    const tied = table(graph, [10, width])
    const rows = graph.insert({ op: 'Gather', inputs: [tied, input('ids', [6], 'int64')] }).output()
    const scores = gemm
      ? graph.insert({ op: 'Gemm', inputs: [rows, tied], attributes: { transB: int(1) }, outputs: ['y0'] }).output()
      : graph
          .insert({
            op: 'MatMul',
            inputs: [
              rows,
              graph.insert({ op: 'Transpose', inputs: [tied], attributes: { perm: ints([1, 0]) } }).output(),
            ],
            outputs: ['y0'],
          })
          .output()
    scores.type = tensorType('float32', [6, 10])
    return [scores]
  })
}

describe('a table that is also the weight of a product', () => {
  test.each([true, false])('is stored once (Gemm: %s)', async (gemm) => {
    for (const embeddings of [true, false])
      for (const symmetric of [true, false]) {
        const model = tiedModel(64, gemm)
        const most = await worst(model, { ids: Tensor.int64([0, 5, 1, 7, 7, 2]) }, { symmetric, embeddings })
        expect(most).toBeLessThan(3)
        const large = [...model.graph.initializers].filter(({ tensor }) => tensor!.byteLength >= 320)
        expect(large.map(({ name }) => name)).toEqual(['table_Q4'])
        expect(model.histogram()).toMatchObject({
          'com.microsoft:GatherBlockQuantized': 1,
          'com.microsoft:MatMulNBits': 1,
        })
      }
  })

  test('is stored twice where its rows end within a block', async () => {
    const model = tiedModel(48, true)
    expect(await worst(model, { ids: Tensor.int64([0, 5, 1, 7, 7, 2]) }, {})).toBeLessThan(3)
    expect([...model.graph.initializers].map(({ name }) => name)).not.toContain('table')
  })
})

test('a table that is multiplied by as it lies is stored in both orders, with 4 bits', async () => {
  const model = buildModel(17, (graph, input) => {
    const both = table(graph, [64, 64])
    const rows = graph.insert({ op: 'Gather', inputs: [both, input('ids', [6], 'int64')] }).output()
    const types = [tensorType('float32', [6, 64])]
    return [graph.insert({ op: 'MatMul', inputs: [rows, both], outputs: ['y0'], types }).output()]
  })
  expect(await worst(model, { ids: Tensor.int64([0, 5, 1, 7, 7, 2]) }, {})).toBeLessThan(3)
  for (const node of model.graph.nodes()) if (node.domain) expect(node.int('bits')).toBe(4)
})

describe('scales', () => {
  test('are stored as float16 and unpacked by a Cast', async () => {
    const model = gatherModel([100, 64])
    await quantizeWeights(model)
    expect([...model.graph.initializers].map(({ name, dtype }) => [name, dtype])).toEqual([
      ['table_table_Q4', 'uint8'],
      ['table_scales_float16', 'float16'],
      ['table_zero_points', 'uint8'],
    ])
  })

  test.each([1e-6, 1e7])('too small or too large for float16 (times %f) stay float32', async (factor) => {
    const model = gatherModel([100, 64])
    const value = [...model.graph.initializers][0]!
    const numbers = value.tensor!.toNumbers().map((x) => x * factor)
    model.graph.setInitializer(value, Tensor.float32([100, 64], numbers))
    expect((await worst(model, ids, {})) / factor).toBeLessThan(STEP[4])
    expect([...model.graph.initializers].map(({ dtype }) => dtype)).toEqual(['uint8', 'float32', 'uint8'])
  })

  test('of rows of zeros are no reason for float32', async () => {
    const model = gatherModel([100, 64])
    const value = [...model.graph.initializers][0]!
    const numbers = value.tensor!.toNumbers().map((x, i) => (i < 64 ? 0 : x))
    model.graph.setInitializer(value, Tensor.float32([100, 64], numbers))
    expect(await worst(model, ids, {})).toBeLessThan(STEP[4])
    expect([...model.graph.initializers].map(({ dtype }) => dtype)).toEqual(['uint8', 'float16', 'uint8'])
  })
})
