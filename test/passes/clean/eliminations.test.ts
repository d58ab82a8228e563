import { describe, expect, test } from 'vitest'
import { type Attributes, float, int, ints } from '../../../src/graph/attributes.ts'
import type { Graph } from '../../../src/graph/graph.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import type { Dim } from '../../../src/graph/types.ts'
import type { Value } from '../../../src/graph/value.ts'
import type { DType } from '../../../src/onnx/dtypes.ts'
import { run } from '../../../src/passes/clean/run.ts'
import { buildModel, copyOf, difference, passContext, runModel } from '../../support/models.ts'

interface Case {
  opset?: number
  op: string
  /** Type of the input `x`, by default float32 [2, 3]. */
  dims?: readonly Dim[]
  dtype?: DType
  /** Further inputs. */
  rest?: (graph: Graph) => (Value | null)[]
  /** True: the constant of `rest` comes first. */
  swapped?: boolean
  attributes?: Attributes
  outputs?: number
}

const constant =
  (dtype: DType, dims: readonly number[], values: readonly number[]) =>
  (graph: Graph): Value[] => [graph.addInitializer('c', Tensor.from(dtype, dims, values))]
const list =
  (...values: number[]) =>
  (graph: Graph): Value[] => [graph.addInitializer('c', Tensor.int64(values))]
const lists =
  (...all: (readonly number[])[]) =>
  (graph: Graph): Value[] =>
    all.map((values) => graph.addInitializer('c', Tensor.int64(values)))

/** x -> Relu -> the operator -> Neg -> output, so that the operator stands between other nodes. */
function modelOf({ opset = 18, op, dims = [2, 3], dtype = 'float32', rest, swapped, attributes, outputs }: Case) {
  return buildModel(opset, (graph, input) => {
    const x = input('x', dims, dtype)
    const before = graph.insert({ op: 'Abs', inputs: [x] }).output()
    const others = rest?.(graph) ?? []
    const inputs = swapped ? [...others, before] : [before, ...others]
    const node = graph.insert({ op, inputs, ...(attributes ? { attributes } : {}), outputs: outputs ?? 1 })
    return [
      graph
        .insert({ op: 'Identity', inputs: [graph.insert({ op: 'Neg', inputs: [node.output()] }).output()] })
        .output(),
    ]
  })
}

async function opsAfter(sample: Case): Promise<string[]> {
  const model = modelOf(sample)
  const before = copyOf(model)
  await run(model, {}, passContext())
  const dims = (sample.dims ?? [2, 3]).map((dim) => (typeof dim === 'number' ? dim : 2))
  const count = dims.reduce((a, b) => a * b, 1)
  const step = sample.dtype === 'int64' ? 1 : 1.5
  const values = Array.from({ length: count }, (_, i) => (i % 2 ? -i : i) * step)
  const x = Tensor.from(sample.dtype ?? 'float32', dims, values)
  const expected = Object.values(await runModel(before, { x }))
  const actual = Object.values(await runModel(copyOf(model), { x }))
  expect(actual.map((tensor, i) => difference(tensor, expected[i]!))).toEqual([0])
  return [...model.allNodes()].map(({ opType }) => opType)
}

const huge = 2 ** 53
const gone: [string, Case][] = [
  ['Identity', { op: 'Identity' }],
  ['Dropout', { op: 'Dropout', outputs: 2, rest: constant('float32', [], [0.5]) }],
  ['Dropout of the attribute era', { opset: 10, op: 'Dropout', attributes: { ratio: float(0.5) } }],
  ['Cast to the same type', { op: 'Cast', attributes: { to: int(1) } }],
  ['Reshape to the same shape', { op: 'Reshape', rest: list(2, 3) }],
  ['Reshape that copies', { op: 'Reshape', dims: ['a', 'b'], rest: list(0, 0) }],
  ['Reshape with one size to infer', { op: 'Reshape', dims: ['a', 3], rest: list(-1, 3) }],
  ['Transpose that keeps the order', { op: 'Transpose', attributes: { perm: ints([0, 1]) } }],
  ['Transpose of a vector', { op: 'Transpose', dims: ['n'] }],
  ['Flatten of a matrix', { op: 'Flatten', dims: ['a', 'b'] }],
  ['Unsqueeze of no axis', { op: 'Unsqueeze', rest: list() }],
  ['Expand to ones', { op: 'Expand', dims: ['a', 'b'], rest: list(1, 1) }],
  ['Expand to its own size', { op: 'Expand', rest: list(3) }],
  ['Tile once', { op: 'Tile', rest: list(1, 1) }],
  ['Pad by nothing', { op: 'Pad', rest: list(0, 0, 0, 0) }],
  ['Pad by nothing, attribute', { opset: 10, op: 'Pad', attributes: { pads: ints([0, 0, 0, 0]) } }],
  ['Slice of everything', { op: 'Slice', dims: ['a', 'b'], rest: lists([0], [huge], [1]) }],
  ['Slice up to the known size', { op: 'Slice', rest: lists([0, -2], [3, 2], [-1, 0], [1, 1]) }],
  ['Slice of everything, attributes', { opset: 9, op: 'Slice', attributes: { starts: ints([0]), ends: ints([huge]) } }],
  ['Concat of one', { op: 'Concat', attributes: { axis: int(1) } }],
  ['Sum of one', { op: 'Sum' }],
  ['Max of one', { op: 'Max' }],
  ['Split into one', { opset: 13, op: 'Split', attributes: { axis: int(0) } }],
  ['x * 1', { op: 'Mul', rest: constant('float32', [], [1]) }],
  ['1 * x', { op: 'Mul', swapped: true, rest: constant('float32', [1], [1]) }],
  ['x / 1', { op: 'Div', rest: constant('float32', [1, 1], [1]) }],
  ['x - 0', { op: 'Sub', rest: constant('float32', [], [0]) }],
  ['x + -0', { op: 'Add', rest: constant('float32', [], [-0]) }],
  ['x + 0 of integers', { op: 'Add', dtype: 'int64', rest: constant('int64', [], [0]) }],
  ['x ^ 1', { op: 'Pow', rest: constant('float32', [], [1]) }],
]

const stays: [string, string, Case][] = [
  ['Cast', 'another type', { op: 'Cast', attributes: { to: int(11) } }],
  ['Reshape', 'the sizes are swapped', { op: 'Reshape', rest: list(3, 2) }],
  ['Reshape', 'the rank grows', { op: 'Reshape', rest: list(2, 3, 1) }],
  ['Reshape', 'the first size is unknown', { op: 'Reshape', dims: ['a', 3], rest: list(2, 3) }],
  ['Reshape', 'it flattens', { op: 'Reshape', dims: ['a', 'b'], rest: list(-1) }],
  ['Transpose', 'it swaps axes', { op: 'Transpose', attributes: { perm: ints([1, 0]) } }],
  ['Transpose', 'a matrix is reversed by default', { op: 'Transpose' }],
  ['Flatten', 'the value has three axes', { op: 'Flatten', dims: [2, 3, 4] }],
  ['Flatten', 'the seam is elsewhere', { op: 'Flatten', attributes: { axis: int(0) } }],
  ['Unsqueeze', 'it adds an axis', { op: 'Unsqueeze', rest: list(0) }],
  ['Expand', 'the rank grows', { op: 'Expand', rest: list(1, 2, 3) }],
  ['Expand', 'a dynamic axis may be 1', { op: 'Expand', dims: ['a', 3], rest: list(2, 3) }],
  ['Tile', 'it repeats', { op: 'Tile', rest: list(1, 2) }],
  ['Pad', 'it adds a column', { op: 'Pad', rest: list(0, 0, 0, 1) }],
  ['Slice', 'the last row is left out', { op: 'Slice', rest: lists([0], [-1], [0]) }],
  ['Slice', 'every other column', { op: 'Slice', rest: lists([0], [huge], [1], [2]) }],
  ['Slice', 'the axis may be longer', { op: 'Slice', dims: ['a', 'b'], rest: lists([0], [3], [1]) }],
  ['Mul', 'the constant has a higher rank', { op: 'Mul', rest: constant('float32', [1, 1, 1], [1]) }],
  ['Mul', 'by 2', { op: 'Mul', rest: constant('float32', [], [2]) }],
  ['Div', '1 / x', { op: 'Div', swapped: true, rest: constant('float32', [], [1]) }],
  ['Add', '-0 + 0 is 0', { op: 'Add', rest: constant('float32', [], [0]) }],
  ['Sub', '0 - x', { op: 'Sub', swapped: true, rest: constant('float32', [], [0]) }],
]

describe('removed', () => {
  test.each(gone)('%s', async (_, sample) => {
    expect(await opsAfter(sample)).toEqual(['Abs', 'Neg'])
  })
})

describe('kept', () => {
  test.each(stays)('%s: %s', async (op, _, sample) => {
    expect(await opsAfter(sample)).toEqual(['Abs', op, 'Neg'])
  })
})

describe('Dropout', () => {
  const dropout = (training: boolean, usesMask: boolean) =>
    buildModel(13, (graph, input) => {
      const mode = graph.addInitializer('mode', Tensor.from('bool', [], [training ? 1 : 0]))
      const ratio = graph.addInitializer('ratio', Tensor.float32([], [0.5]))
      const node = graph.insert({ op: 'Dropout', inputs: [input('x', [4]), ratio, mode], outputs: 2 })
      const result = graph.insert({ op: 'Neg', inputs: [node.output()] }).output()
      return usesMask ? [result, node.output(1)] : [result]
    })
  test.each([
    ['inference', dropout(false, false), ['Neg']],
    ['training', dropout(true, false), ['Dropout', 'Neg']],
    ['its mask is used', dropout(false, true), ['Dropout', 'Neg']],
  ])('%s', async (_, model, ops) => {
    await run(model, {}, passContext())
    expect([...model.allNodes()].map(({ opType }) => opType)).toEqual(ops)
  })

  test('the mode is an input', async () => {
    const model = buildModel(13, (graph, input) => {
      const node = graph.insert({ op: 'Dropout', inputs: [input('x', [4]), null, input('training', [], 'bool')] })
      return [graph.insert({ op: 'Neg', inputs: [node.output()] }).output()]
    })
    expect((await run(model, {}, passContext())).changes).toBe(0)
  })
})

describe('Cast there and back', () => {
  const chain = (dtype: DType, between: number, back: number) =>
    buildModel(13, (graph, input) => {
      const cast = (value: Value, to: number) =>
        graph.insert({ op: 'Cast', inputs: [value], attributes: { to: int(to) } }).output()
      return [graph.insert({ op: 'Neg', inputs: [cast(cast(input('x', [4], dtype), between), back)] }).output()]
    })
  test.each([
    ['float32 -> float64 -> float32', chain('float32', 11, 1), ['Neg']],
    ['float32 -> int64 -> float32 rounds', chain('float32', 7, 1), ['Cast', 'Cast', 'Neg']],
    ['float32 -> float16 -> float32 rounds', chain('float32', 10, 1), ['Cast', 'Cast', 'Neg']],
    ['int64 -> float64 -> int64 rounds', chain('int64', 11, 7), ['Cast', 'Cast', 'Neg']],
  ])('%s', async (_, model, ops) => {
    await run(model, {}, passContext())
    expect([...model.allNodes()].map(({ opType }) => opType)).toEqual(ops)
  })
})

test('a no-op between an input and an output becomes an Identity', async () => {
  const model = buildModel(13, (graph, input) => {
    const node = graph.insert({ op: 'Transpose', inputs: [input('x', [2, 3])], attributes: { perm: ints([0, 1]) } })
    return [node.output()]
  })
  const name = model.graph.outputs[0]!.name
  await run(model, {}, passContext())
  expect([...model.allNodes()].map(({ opType }) => opType)).toEqual(['Identity'])
  expect(model.graph.outputs[0]!.name).toBe(name)
  expect((await run(copyOf(model), {}, passContext())).changes).toBe(0)
})

test('attributes that the caller of a function gives are unknown', async () => {
  const model = modelOf({ op: 'Flatten', attributes: { axis: { kind: 'reference', value: 'axis', type: 2 } } })
  await run(model, {}, passContext())
  expect([...model.allNodes()].map(({ opType }) => opType)).toContain('Flatten')
})
