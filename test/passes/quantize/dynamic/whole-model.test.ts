import { describe, expect, test } from 'vitest'
import { float, ints } from '../../../../src/graph/attributes.ts'
import { compareQuantized, quantizeDynamic, randomTensor } from '../../../support/dynamic.ts'
import { buildModel, bytesOf, copyOf } from '../../../support/models.ts'

const x = randomTensor([5, 8], 3)

test('a model that is quantized already stays as it is, and that is said', async () => {
  const once = buildModel(17, (graph, input) => {
    const w = graph.addInitializer('w', randomTensor([8, 8], 2))
    const v = graph.addInitializer('v', randomTensor([8, 8], 4))
    const first = graph.insert({ op: 'MatMul', inputs: [input('x', ['n', 8]), w], name: 'first' }).output()
    return [graph.insert({ op: 'MatMul', inputs: [first, v], name: 'second' }).output()]
  })
  await quantizeDynamic(once, { nodes: ['first'] })
  const twice = copyOf(once)
  const { changes, notes } = await quantizeDynamic(twice)
  expect(changes).toBe(0)
  expect(notes[0]).toMatchObject({ code: 'quantize/already-quantized' })
  expect(Buffer.compare(bytesOf(twice), bytesOf(copyOf(once)))).toBe(0)
})

describe('operator sets without DynamicQuantizeLinear', () => {
  const model = (opset: number, clip: 'Clip' | 'Relu') =>
    buildModel(opset, (graph, input) => {
      const w = graph.addInitializer('w', randomTensor([8, 8], 2))
      const y = graph.insert({ op: 'MatMul', inputs: [input('x', ['n', 8]), w] }).output()
      const attributes = clip === 'Clip' ? { min: float(0), max: float(6) } : {}
      return [graph.insert({ op: clip, inputs: [y], attributes }).output()]
    })

  test.each([7, 9, 10])('opset %i becomes 11 where every operator means the same there', async (opset) => {
    const { changes, cosine, model: after } = await compareQuantized(model(opset, 'Relu'), { x })
    expect(changes).toBe(1)
    expect(after.opset).toBe(11)
    expect(cosine).toBeGreaterThan(0.999)
  })

  test('else the model stays as it is, and that is said', async () => {
    const { changes, notes, model: after } = await compareQuantized(model(9, 'Clip'), { x })
    expect(changes).toBe(0)
    expect(after.opset).toBe(9)
    expect(notes[0]).toContain('Clip')
  })

  test('and if nothing is quantized the version stays', async () => {
    const { changes, model: after } = await compareQuantized(model(9, 'Relu'), { x }, { excludeNodes: ['**'] })
    expect(changes).toBe(0)
    expect(after.opset).toBe(9)
  })
})

test('a model without anything to quantize', async () => {
  const model = buildModel(17, (graph, input) => [
    graph.insert({ op: 'Transpose', inputs: [input('x', [5, 8])], attributes: { perm: ints([1, 0]) } }).output(),
  ])
  const { changes, notes } = await compareQuantized(model, { x })
  expect(changes).toBe(0)
  expect(notes).toEqual([])
})

test('unnamed nodes get names of their own', async () => {
  const model = buildModel(17, (graph, input) => {
    let at = input('x', ['n', 8])
    for (let i = 0; i < 3; i++) {
      const w = graph.addInitializer('w', randomTensor([8, 8], i + 2, 0.3))
      const node = graph.insert({ op: 'MatMul', inputs: [at, w] })
      node.name = ''
      at = node.output()
    }
    return [at]
  })
  const { model: after, changes } = await compareQuantized(model, { x })
  expect(changes).toBe(3)
  const names = [...after.allNodes()].map(({ name }) => name)
  expect(names).not.toContain('')
  expect(new Set(names).size).toBe(names.length)
})
