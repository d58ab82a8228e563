import { describe, expect, test } from 'vitest'
import { type Attributes, int, ints, string } from '../../../src/graph/attributes.ts'
import type { Graph } from '../../../src/graph/graph.ts'
import type { Model } from '../../../src/graph/model.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import { type Dim, tensorType } from '../../../src/graph/types.ts'
import type { Value } from '../../../src/graph/value.ts'
import { run } from '../../../src/passes/clean/run.ts'
import { buildModel, bytesOf, copyOf, difference, passContext, runModel } from '../../support/models.ts'

type Op = (op: string, inputs: (Value | null)[], attributes?: Attributes) => Value
interface Tools {
  op: Op
  x: Value
  constant: (tensor: Tensor) => Value
  graph: Graph
}
const make = (dims: readonly Dim[], body: (tools: Tools) => Value | Value[], opset = 17): Model =>
  buildModel(opset, (graph, input) => {
    const op: Op = (name, inputs, attributes) =>
      graph.insert({ op: name, inputs, ...(attributes ? { attributes } : {}) }).output()
    return [body({ op, graph, x: input('x', dims), constant: (tensor) => graph.addInitializer('c', tensor) })].flat()
  })

/** Operators after cleaning; numbers, size and a second run are checked on the way. */
async function cleaned(model: Model, dims: readonly number[]): Promise<string[]> {
  const count = dims.reduce((a, b) => a * b, 1)
  const x = Tensor.float32(
    dims,
    Float32Array.from({ length: count }, (_, i) => Math.sin(i)),
  )
  const expected = await runModel(copyOf(model), { x })
  const size = bytesOf(model).length
  await run(model, {}, passContext())
  expect(bytesOf(model).length).toBeLessThanOrEqual(size)
  const actual = await runModel(copyOf(model), { x })
  for (const [name, value] of Object.entries(expected)) expect(difference(actual[name], value)).toBeLessThan(1e-6)
  expect((await run(copyOf(model), {}, passContext())).changes).toBe(0)
  return [...model.allNodes()].map(({ opType }) => opType)
}

const random = (...dims: number[]) =>
  Tensor.float32(
    dims,
    Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.cos(i * i)),
  )

describe('folded', () => {
  test('a weight that is transposed', async () => {
    const model = make(['n', 8], ({ op, x, constant }) => op('MatMul', [x, op('Transpose', [constant(random(4, 8))])]))
    expect(await cleaned(model, [3, 8])).toEqual(['MatMul'])
  })
  test('a chain of computations, with infinities and NaNs', async () => {
    const model = make([2], ({ op, x, constant }) => {
      const zero = constant(Tensor.float32([2], [0, 1]))
      const infinite = op('Div', [constant(Tensor.float32([2], [1, 0])), zero])
      return op('Max', [op('Sub', [infinite, infinite]), x])
    })
    expect(await cleaned(model, [2])).toEqual(['Max'])
  })
  test('a shape of constants, also one that an older version has as attribute', async () => {
    const model = make(
      ['n', 6],
      ({ op, x, constant }) => {
        const part = op('Unsqueeze', [constant(Tensor.int64([3], []))], { axes: ints([0]) })
        return op('Reshape', [x, op('Concat', [constant(Tensor.int64([-1])), part], { axis: int(0) })])
      },
      11,
    )
    expect(await cleaned(model, [2, 6])).toEqual(['Reshape'])
  })
  test('computations that share a constant and need each other', async () => {
    const model = make([2], ({ op, x, constant }) => {
      const shared = constant(random(2))
      const difference = op('Sub', [op('Mul', [shared, shared]), constant(random(2))])
      return op('Max', [x, op('Add', [shared, difference])])
    })
    expect(await cleaned(model, [2])).toEqual(['Max'])
  })
  test('the size of an axis that an exporter computed', async () => {
    const model = make(['n', 6], ({ op, x, constant }) => {
      const axis = (from: Value, at: number) => op('Gather', [op('Shape', [from]), constant(Tensor.int64([at]))])
      const sizes = op('Concat', [axis(x, 0), constant(Tensor.int64([2, 3]))], { axis: int(0) })
      const split = op('Reshape', [x, sizes])
      return op('Mul', [split, op('Cast', [axis(split, 1)], { to: int(1) })])
    })
    expect(await cleaned(model, [2, 6])).not.toContain('Cast')
    // How much a slice of an open size leaves is known only when the model runs.
    const open = make(['n', 6], ({ op, x, constant }) => {
      const [end, axes] = [constant(Tensor.int64([2 ** 62])), constant(Tensor.int64([0]))]
      const part = op('Slice', [x, constant(Tensor.int64([-3])), end, axes])
      return op('Cast', [op('Gather', [op('Shape', [part]), axes])], { to: int(1) })
    })
    expect(await cleaned(open, [2, 6])).toContain('Slice')
  })
  test('the fixed axis of a shape that is dynamic otherwise', async () => {
    const model = make(['n', 6], ({ op, x, constant }) => {
      const width = op('Gather', [op('Shape', [op('Relu', [x])]), constant(Tensor.int64([1], []))])
      return op('Div', [x, op('Cast', [width], { to: int(1) })])
    })
    expect(await cleaned(model, [2, 6])).toEqual(['Div'])
  })
  test('a result that is a graph output becomes a constant under its name', async () => {
    const model = make([2], ({ op, x, constant }) => {
      const sum = op('Add', [constant(Tensor.float32([2], [1, 2])), constant(Tensor.float32([2], [3, 4]))])
      return [op('Mul', [x, op('Exp', [sum])]), op('Neg', [sum])]
    })
    const names = model.graph.outputs.map(({ name }) => name)
    expect(await cleaned(model, [2])).toEqual(['Mul', 'Constant'])
    expect(model.graph.outputs.map(({ name }) => name)).toEqual(names)
  })
  test('a weight under another shape, without reading it', async () => {
    const model = make(['n', 8], ({ op, x, constant }) =>
      op('MatMul', [x, op('Reshape', [constant(random(32)), constant(Tensor.int64([8, -1]))])]),
    )
    expect(await cleaned(model, [3, 8])).toEqual(['MatMul'])
  })
})

describe('kept', () => {
  test('a result that takes more room than what it is made of', async () => {
    const model = make([64], ({ op, x, constant }) =>
      op('Add', [x, op('Expand', [constant(Tensor.float32([1], [2])), constant(Tensor.int64([64, 64]))])]),
    )
    expect(await cleaned(model, [64])).toEqual(['Expand', 'Add'])
  })
  test('a transposed weight that something else reads as it is', async () => {
    const model = make(['n', 8], ({ op, x, constant }) => {
      const tied = constant(random(8, 8))
      return op('MatMul', [op('MatMul', [x, tied]), op('Transpose', [tied])])
    })
    expect(await cleaned(model, [3, 8])).toContain('Transpose')
  })
  test('a weight in half precision, which would grow', async () => {
    const model = make(['n', 64], ({ op, x, constant }) => {
      const half = constant(Tensor.from('float16', [64, 16], new Array(1024).fill(0.5)))
      return op('MatMul', [x, op('Cast', [half], { to: int(1) })])
    })
    expect(await cleaned(model, [3, 64])).toEqual(['Cast', 'MatMul'])
  })
  test('a quantized weight', async () => {
    const model = make(['n', 4], ({ op, x, constant }) => {
      const weight = constant(Tensor.from('int8', [4, 2], [1, 2, 3, 4, 5, 6, 7, 8]))
      return op('MatMul', [x, op('DequantizeLinear', [weight, constant(Tensor.float32([], [0.5]))])])
    })
    expect(await cleaned(model, [3, 4])).toEqual(['DequantizeLinear', 'MatMul'])
  })
  test('random numbers', async () => {
    const model = make([2], ({ op, x }) => op('Add', [x, op('RandomNormal', [], { shape: ints([2]) })]))
    expect((await run(model, {}, passContext())).changes).toBe(0)
  })
  test('what callers may replace', async () => {
    const model = buildModel(13, (graph, input) => {
      const value = input('scale', [2])
      graph.setInitializer(value, Tensor.float32([2], [1, 2]))
      const doubled = graph.insert({ op: 'Exp', inputs: [value] }).output()
      return [graph.insert({ op: 'Add', inputs: [input('x', [2]), doubled] }).output()]
    })
    expect((await run(model, {}, passContext())).changes).toBe(0)
  })
  test('the shape that callers may replace', async () => {
    const model = buildModel(13, (graph, input) => {
      const shape = input('shape', [2], 'int64')
      graph.setInitializer(shape, Tensor.int64([2, 3]))
      const reshaped = graph.insert({ op: 'Reshape', inputs: [input('x', [6]), shape] }).output()
      return [graph.insert({ op: 'Shape', inputs: [reshaped] }).output()]
    })
    expect((await run(model, {}, passContext())).changes).toBe(0)
  })
  test('the size that the file states of a value in between', async () => {
    const model = make(['n', 6], ({ op, x, graph, constant }) => {
      const relu = op('Relu', [x])
      relu.type = tensorType('float32', [2, 6])
      graph.declare(relu)
      const height = op('Gather', [op('Shape', [relu]), constant(Tensor.int64([0], []))])
      return op('Div', [relu, op('Cast', [height], { to: int(1) })])
    })
    expect(await cleaned(copyOf(model), [5, 6])).toContain('Shape')
  })
  test('the dynamic axis of a shape, without asking ONNX Runtime', async () => {
    const model = make(['n', 6], ({ op, x, constant }) => {
      const height = op('Gather', [op('Shape', [op('Relu', [x])]), constant(Tensor.int64([0], []))])
      return op('Div', [x, op('Cast', [height], { to: int(1) })])
    })
    const context = passContext()
    const ort = { ...context.ort, inferTypes: () => Promise.reject(new Error('not needed')) }
    expect((await run(model, {}, { ort })).changes).toBe(0)
  })
})

test('a node that ONNX Runtime refuses is left, the rest is folded', async () => {
  const model = make([2], ({ op, x, constant }) => {
    const bits = () => constant(Tensor.from('int16', [2], [1, 2]))
    const words = op('BitShift', [bits(), bits()], { direction: string('LEFT') })
    const sum = op('Add', [constant(Tensor.float32([2], [1, 2])), constant(Tensor.float32([2], [3, 4]))])
    return [op('Mul', [x, sum]), words]
  })
  await run(model, {}, passContext())
  expect([...model.allNodes()].map(({ opType }) => opType)).toEqual(expect.arrayContaining(['BitShift', 'Mul']))
  expect([...model.allNodes()].map(({ opType }) => opType)).not.toContain('Add')
})
