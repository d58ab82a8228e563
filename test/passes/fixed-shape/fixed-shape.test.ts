import { describe, expect, test } from 'vitest'
import { graph as graphAttribute } from '../../../src/graph/attributes.ts'
import { Graph } from '../../../src/graph/graph.ts'
import type { Model } from '../../../src/graph/model.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import { tensorType } from '../../../src/graph/types.ts'
import { OnnxError } from '../../../src/onnx/errors.ts'
import { readArguments } from '../../../src/passes/fixed-shape/arguments.ts'
import { fixedShape } from '../../../src/passes/fixed-shape/index.ts'
import { buildModel, bytesOf, copyOf, passContext, runModel } from '../../support/models.ts'

/** a [batch, sequence, 4] + b [batch, 1, ?] -> Transpose -> [batch, ..., sequence] */
function sample(): Model {
  const model = buildModel(13, (graph, input) => {
    const a = input('a', ['batch', 'sequence', 4])
    const b = input('b', ['batch', 1, null])
    const sum = graph.insert({ op: 'Add', inputs: [a, b], types: [tensorType('float32', ['batch', 'sequence', 4])] })
    graph.declare(sum.output())
    const perm = graph.insert({ op: 'Transpose', inputs: [sum.output()], outputs: ['turned'] }).output()
    perm.type = tensorType('float32', [4, 'other', 'batch'])
    const rank = graph.insert({ op: 'Exp', inputs: [perm], outputs: ['unstated'] }).output()
    rank.type = tensorType('float32')
    return [perm, rank]
  })
  return copyOf(model)
}

const run = (model: Model, options: Parameters<typeof fixedShape.run>[1]) =>
  fixedShape.run(model, options, passContext())
const shapes = (model: Model) =>
  Object.fromEntries([...model.graph.inputs, ...model.graph.outputs].map((value) => [value.name, value.shape]))

test('by input: the name of a dimension is fixed wherever it occurs, outputs follow', async () => {
  const model = sample()
  await run(model, { shape: { a: '2x3x4' } })
  expect(shapes(copyOf(model))).toEqual({ a: [2, 3, 4], b: [2, 1, null], turned: [4, 3, 2], unstated: [4, 3, 2] })
  const [declared] = copyOf(model).graph.declared
  expect(declared!.shape).toEqual([2, 3, 4])
})

test('by dimension', async () => {
  const model = sample()
  await run(model, { dim: { batch: '5' } })
  expect(shapes(copyOf(model))).toEqual({
    a: [5, 'sequence', 4],
    b: [5, 1, null],
    turned: [4, 'other', 5],
    unstated: undefined,
  })
})

test('as lists: the same', async () => {
  const [maps, lists] = [sample(), sample()]
  await run(maps, { dim: { batch: '5', sequence: '2' } })
  await run(lists, { dimParam: ['batch', 'sequence'], dimValue: ['5', '2'] })
  expect(bytesOf(lists)).toEqual(bytesOf(maps))
  const [byMap, byList] = [sample(), sample()]
  await run(byMap, { shape: { a: '2x3x4' } })
  await run(byList, { inputName: ['a'], inputShape: ['2x3x4'] })
  expect(bytesOf(byList)).toEqual(bytesOf(byMap))
})

test('a dimension may have no elements, an input may not', async () => {
  const model = sample()
  await run(model, { dim: { batch: '1', sequence: '0' } })
  expect(shapes(copyOf(model))['a']).toEqual([1, 0, 4])
  const feeds = { a: Tensor.float32([1, 0, 4], []), b: Tensor.float32([1, 1, 4], [1, 2, 3, 4]) }
  expect((await runModel(copyOf(model), feeds))['turned']!.dims).toEqual([4, 0, 1])
})

test('an unnamed dimension is fixed by its input alone', async () => {
  const model = sample()
  await run(model, { shape: { b: '2x1x4' } })
  expect(shapes(copyOf(model))['b']).toEqual([2, 1, 4])
  const feeds = {
    a: Tensor.float32([2, 3, 4], new Float32Array(24)),
    b: Tensor.float32([2, 1, 4], new Float32Array(8)),
  }
  expect((await runModel(copyOf(model), feeds))['turned']!.dims).toEqual([4, 3, 2])
})

test('subgraphs are fixed too', async () => {
  const model = buildModel(16, (graph, input) => {
    const x = input('x', ['n'])
    const branch = (op: string) => {
      const body = new Graph(graph.model, op)
      body.addOutput(body.insert({ op, inputs: [x], types: [tensorType('float32', ['n'])] }).output())
      return graphAttribute(body)
    }
    const attributes = { then_branch: branch('Neg'), else_branch: branch('Exp') }
    const node = graph.insert({
      op: 'If',
      inputs: [input('c', [], 'bool')],
      attributes,
      types: [tensorType('float32', ['n'])],
    })
    for (const { value } of Object.values(attributes)) (value as Graph).owner = node
    return [node.output()]
  })
  await run(model, { dim: { n: '7' } })
  const dims = [...copyOf(model).allGraphs()].flatMap((graph) => graph.outputs.map(({ shape }) => shape))
  expect(dims).toEqual([[7], [7], [7]])
})

test('sizes that are fixed already change nothing', async () => {
  const model = buildModel(13, (graph, input) => [graph.insert({ op: 'Neg', inputs: [input('x', [2])] }).output()])
  const before = bytesOf(model)
  expect((await run(model, { shape: { x: '2' } })).changes).toBe(0)
  expect(Buffer.compare(bytesOf(model), before)).toBe(0)
})

describe('errors', () => {
  const message = async (options: Parameters<typeof fixedShape.run>[1]): Promise<string> => {
    const model = sample()
    const before = bytesOf(model)
    const error = await Promise.resolve()
      .then(() => run(model, options))
      .catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(OnnxError)
    expect(Buffer.compare(bytesOf(model), before)).toBe(0)
    return (error as OnnxError).message
  }
  test.each([
    [
      'unknown dimension',
      { dim: { batchs: '1' } },
      /no dimension "batchs".*Did you mean "batch"\? .*batch, sequence, other/s,
    ],
    ['unknown input', { shape: { aa: '1' } }, /no input "aa".*Did you mean "a"\? Its inputs: a, b/s],
    ['rank', { shape: { a: '1x2' } }, /"a" is batchxsequencex4, which 1x2 does not fit.*Give 3 dimensions, not 2/s],
    [
      'conflict with a fixed dimension',
      { shape: { a: '1x2x3' } },
      /dimension 2 of the input "a" is fixed at 4 and can't become 3/,
    ],
    ['conflict between inputs', { shape: { a: '1x2x4', b: '2x1x4' } }, /"batch" would be 1 and 2 at once/],
    ['zero', { shape: { a: '0x2x4' } }, /"0x2x4" is no shape/],
    ['negative', { dim: { batch: '-1' } }, /"-1" is no size for the dimension "batch"/],
    ['fraction', { dim: { batch: '1.5' } }, /"1.5" is no size/],
    [
      'lists of two lengths',
      { dimParam: ['batch', 'sequence'], dimValue: ['1'] },
      /`dim_value` differ in length: 2 and 1/,
    ],
    ['one list alone', { inputShape: ['1x2x4'] }, /`input_name` and `input_shape` differ in length: 0 and 1/],
    ['a name twice', { dim: { batch: '1' }, dimParam: ['batch'], dimValue: ['2'] }, /"batch" would be 1 and 2 at once/],
    [
      'both forms as lists',
      { dimParam: ['batch'], dimValue: ['1'], inputName: ['a'], inputShape: ['1x2x4'] },
      /together/,
    ],
    ['both forms', { dim: { batch: '1' }, shape: { a: '1x2x4' } }, /can not be used together/],
  ])('%s', async (_, options, expected) => {
    expect(await message(options)).toMatch(expected)
  })
  test('known before a model is read', () => {
    expect(() => readArguments({ dim: { batch: 'many' } })).toThrow(OnnxError)
    expect(readArguments({ shape: { x: '1×2' } }).shapes.get('x')).toEqual([1, 2])
  })
})
