import { describe, expect, test } from 'vitest'
import { type Attributes, float, int, ints, string } from '../../../src/graph/attributes.ts'
import type { Graph } from '../../../src/graph/graph.ts'
import type { Model } from '../../../src/graph/model.ts'
import { raiseOpset } from '../../../src/graph/opset/raise.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import type { Value } from '../../../src/graph/value.ts'
import { createOrtService } from '../../../src/ort/service.ts'
import { buildModel, copyOf } from '../../support/models.ts'

const x = Tensor.float32(
  [1, 2, 4, 6],
  Float32Array.from({ length: 48 }, (_, i) => Math.sin(i * 7.3) + i / 48),
)
/** One node on `x` [1, 2, 4, 6] and constants. */
function one(op: string, opset: number, attributes: Attributes, constants: readonly Tensor[] = [], outputs = 1): Model {
  return copyOf(
    buildModel(opset, (graph: Graph, input) => {
      const inputs: Value[] = [input('x', [1, 2, 4, 6])]
      for (const [i, tensor] of constants.entries()) inputs.push(graph.addInitializer(`c${i}`, tensor))
      return graph.insert({ op, inputs, attributes, outputs }).outputs as Value[]
    }),
  )
}

describe('raised models compute what they did', () => {
  test.each([
    ['Clip', 6, { min: float(0.2), max: float(0.7) }],
    ['Clip', 6, { max: float(0.5) }],
    ['Clip', 6, {}],
    ['Pad', 2, { pads: ints([0, 0, 1, 2, 0, 0, 0, 1]), value: float(3) }],
    ['Pad', 8, { pads: ints([0, 0, 1, 2, 0, 0, 0, 1]), mode: string('reflect') }],
    ['Slice', 9, { starts: ints([1, -3]), ends: ints([3, 2 ** 53 - 1]), axes: ints([2, 3]) }],
    ['Slice', 9, { starts: ints([0, 1]), ends: ints([1, 2]) }],
    ['TopK', 9, { k: int(2), axis: int(3) }, [], 2],
    ['Upsample', 8, { scales: { kind: 'floats', value: [1, 1, 2, 3] } }],
    ['Upsample', 9, { mode: string('linear') }, [Tensor.float32([4], [1, 1, 2, 2])]],
    ['Resize', 10, { mode: string('nearest') }, [Tensor.float32([4], [1, 1, 1.5, 2])]],
    ['Resize', 10, { mode: string('linear') }, [Tensor.float32([4], [1, 1, 2.5, 2])]],
    ['Softmax', 11, { axis: int(1) }],
    ['Softmax', 11, { axis: int(3) }],
    ['Softmax', 7, {}],
    ['LogSoftmax', 11, { axis: int(2) }],
    ['Hardmax', 11, { axis: int(2) }],
    ['Squeeze', 11, { axes: ints([0]) }],
    ['Unsqueeze', 11, { axes: ints([0, 2]) }],
    ['ReduceSum', 11, { axes: ints([2]), keepdims: int(0) }],
    ['ReduceMean', 13, { axes: ints([2, 3]) }],
    ['Split', 11, { axis: int(3), split: ints([2, 4]) }, [], 2],
    ['Split', 13, { axis: int(3) }, [], 3],
  ] as [string, number, Attributes, Tensor[]?, number?][])(
    '%s of opset %i, %j',
    async (op, opset, attributes, ...more) => {
      const service = createOrtService()
      const model = one(op, Math.max(opset, 7), attributes, ...more)
      const before = await service.evaluate(model, { x })
      expect(raiseOpset(model, 18)).toEqual([])
      expect(model.opset).toBe(18)
      const after = await service.evaluate(copyOf(model), { x })
      expect(Object.keys(after)).toEqual(Object.keys(before))
      for (const [name, { dims }] of Object.entries(before)) {
        expect(after[name]!.dims).toEqual(dims)
        const [a, b] = [after[name]!.toNumbers(), before[name]!.toNumbers()]
        expect(Math.max(...a.map((value, i) => Math.abs(value - b[i]!)))).toBeLessThan(1e-6)
      }
    },
  )

  test('a Softmax over dimensions that nobody knows', async () => {
    const model = buildModel(11, (graph, input) => {
      const shape = input('shape', ['n'], 'int64')
      const rows = graph.insert({ op: 'Reshape', inputs: [input('x', [1, 2, 4, 6]), shape] }).output()
      return [graph.insert({ op: 'Softmax', inputs: [rows], attributes: { axis: int(1) } }).output()]
    })
    const feeds = { x, shape: Tensor.int64([2, 4, 6], [3]) }
    const service = createOrtService()
    const before = await service.evaluate(model, feeds)
    expect(raiseOpset(model, 18)).toEqual([])
    const after = await service.evaluate(copyOf(model), feeds)
    const [a, b] = [Object.values(after)[0]!.toNumbers(), Object.values(before)[0]!.toNumbers()]
    expect(Math.max(...a.map((value, i) => Math.abs(value - b[i]!)))).toBeLessThan(1e-6)
  })

  test('what can not be raised stays, and is named', () => {
    const smaller = one('Resize', 10, { mode: string('nearest') }, [Tensor.float32([4], [1, 1, 0.5, 0.5])])
    expect(raiseOpset(smaller, 18)).toEqual(['Resize'])
    expect(smaller.opset).toBe(10)
  })
})
