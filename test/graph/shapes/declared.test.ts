import { expect, test } from 'vitest'
import { int } from '../../../src/graph/attributes.ts'
import { modelToProto } from '../../../src/graph/export.ts'
import type { Model } from '../../../src/graph/model.ts'
import { withDeclaredShapes } from '../../../src/graph/shapes/declared.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import { tensorType, typeFromProto } from '../../../src/graph/types.ts'
import { inferTypes } from '../../../src/ort/typing/index.ts'
import { buildModel, bytesOf, copyOf } from '../../support/models.ts'

/** `nodes` times Neg on [batch, length, 8] as [batch, length, 2, 4], whose shape the graph computes, and back. */
function chain(nodes: number): Model {
  const model = buildModel(17, (graph, input) => {
    const x = input('x', ['batch', 'length', 8])
    const list = (numbers: number[]) => graph.addInitializer('c', Tensor.int64(numbers))
    const shape = graph.insert({ op: 'Shape', inputs: [x] }).output()
    const size = (axis: number) => graph.insert({ op: 'Gather', inputs: [shape, list([axis])] }).output()
    const parts = [size(0), size(1), list([2]), list([4])]
    const wanted = graph.insert({ op: 'Concat', inputs: parts, attributes: { axis: int(0) } }).output()
    let value = graph.insert({ op: 'Reshape', inputs: [x, wanted], outputs: ['parted'] }).output()
    value.type = tensorType('float32', ['batch', 'stated', 2, 4])
    graph.declare(value)
    for (let i = 0; i < nodes; i++) value = graph.insert({ op: 'Neg', inputs: [value] }).output()
    return [graph.insert({ op: 'Relu', inputs: [value], outputs: ['y'] }).output()]
  })
  return copyOf(model)
}

const shapesIn = (model: Model) =>
  modelToProto(model).graph!.valueInfo!.map(({ type }) => {
    const found = typeFromProto(type)
    return found?.kind === 'tensor' ? found.shape : undefined
  })

test('a large model declares what is known for certain, and is what it was afterwards', async () => {
  const model = chain(1000)
  await inferTypes(model)
  const before = bytesOf(model)
  expect(shapesIn(model)).toHaveLength(1)
  const declared = await withDeclaredShapes(model, async () => shapesIn(model))
  expect(declared.filter((shape) => shape?.length === 4)).toHaveLength(1001)
  expect(new Set(declared.slice(-1000).map(String))).toEqual(new Set(['batch,length,2,4']))
  expect(Buffer.compare(bytesOf(model), before)).toBe(0)
  await expect(withDeclaredShapes(model, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(Buffer.compare(bytesOf(model), before)).toBe(0)
})

test('a small one is left alone', async () => {
  const model = chain(10)
  await inferTypes(model)
  expect(await withDeclaredShapes(model, async () => shapesIn(model))).toHaveLength(1)
})
