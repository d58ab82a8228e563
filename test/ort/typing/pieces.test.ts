import { describe, expect, test } from 'vitest'
import { int } from '../../../src/graph/attributes.ts'
import { Graph } from '../../../src/graph/graph.ts'
import { readModel } from '../../../src/graph/import.ts'
import type { Model } from '../../../src/graph/model.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import { tensorType } from '../../../src/graph/types.ts'
import type { Value } from '../../../src/graph/value.ts'
import type { NodeProto } from '../../../src/onnx/proto.ts'
import { inferTypes } from '../../../src/ort/typing/index.ts'
import { piecesOf } from '../../../src/ort/typing/pieces.ts'
import { buildModel, copyOf } from '../../support/models.ts'
import { hasShared, shared } from '../../support/shared.ts'
import { readableModels } from '../../support/shared-cases.ts'

/** What is found out about a model that is asked for in pieces of `piece` nodes: every value's type, and operators left out. */
async function typesOf(model: Model, piece: number, scalars = true) {
  const { unknown } = await inferTypes(model, { piece, scalars })
  const values = [...model.allNodes()].flatMap(({ outputs }) => outputs.flatMap((value) => value ?? []))
  return { unknown, types: values.map(({ name, type }) => [name, type]) }
}

/** Types found node by node are those of the whole; returns them by name. */
async function expectEqual(make: () => Model) {
  const whole = await typesOf(make(), Number.POSITIVE_INFINITY)
  for (const piece of [1, 2, 3]) expect(await typesOf(make(), piece)).toEqual(whole)
  return Object.fromEntries(whole.types)
}

describe('a graph that is asked for in pieces', () => {
  test('the elements of shapes reach later pieces', async () => {
    const types = await expectEqual(() =>
      buildModel(17, (graph, input) => {
        const x = input('x', [2, 6, 8])
        const constant = (dims: number[], number: number) =>
          graph.addInitializer('c', Tensor.from('int64', dims, [number]))
        const op = (type: string, ...inputs: Value[]) => graph.insert({ op: type, inputs }).output()
        const size = (axis: number) =>
          op('Unsqueeze', op('Gather', op('Shape', x), constant([], axis)), constant([1], 0))
        const shape = graph.insert({ op: 'Concat', inputs: [size(1), size(2), size(0)], attributes: { axis: int(0) } })
        const y = op('Reshape', op('Relu', op('Neg', x)), shape.output())
        return [graph.insert({ op: 'Exp', inputs: [y], outputs: ['y'] }).output()]
      }),
    )
    expect(types['y']).toEqual(tensorType('float32', [6, 8, 2]))
  })

  test('scalars stay scalars, and unknown ranks unknown', async () => {
    const types = await expectEqual(() =>
      buildModel(17, (graph, input) => {
        const [x, shape] = [input('x', ['n', 4]), input('shape', ['rank'], 'int64')]
        const name = (op: string, inputs: Value[], output: string, attributes = {}) =>
          graph.insert({ op, inputs, attributes, outputs: [output] }).output()
        const sum = name('ReduceSum', [x], 'sum', { keepdims: int(0) })
        const scaled = name('Mul', [x, name('Sqrt', [sum], 'root')], 'scaled')
        const open = name('Relu', [name('Reshape', [scaled, shape], 'reshaped')], 'open')
        return [name('Neg', [scaled], 'known'), name('Mul', [open, sum], 'unknown')]
      }),
    )
    expect([types['root'], types['known'], types['open'], types['unknown']]).toEqual([
      tensorType('float32', []),
      tensorType('float32', ['n', 4]),
      { kind: 'tensor', dtype: 'float32', shape: undefined },
      { kind: 'tensor', dtype: 'float32', shape: undefined },
    ])
  })

  test('what a branch reads of the graph around it comes along', async () => {
    const types = await expectEqual(() =>
      copyOf(
        buildModel(17, (graph, input) => {
          const [x, flag] = [input('x', [2, 3]), input('flag', [], 'bool')]
          const shape = graph.insert({ op: 'Shape', inputs: [x] }).output()
          const wide = graph.insert({ op: 'Mul', inputs: [shape, graph.addInitializer('two', Tensor.int64([2, 5]))] })
          const outer = graph.insert({ op: 'Neg', inputs: [x], outputs: ['outer'] }).output()
          const node = graph.insert({ op: 'If', inputs: [flag], outputs: ['chosen', 'filled'] })
          for (const branch of ['then_branch', 'else_branch']) {
            const body = new Graph(graph.model, branch, node)
            const filled = body.insert({ op: 'ConstantOfShape', inputs: [wide.output()] }).output()
            const seen = body.insert({ op: 'Transpose', inputs: [outer] }).output()
            body.addOutput(
              body
                .insert({ op: 'MatMul', inputs: [seen, body.insert({ op: 'Relu', inputs: [outer] }).output()] })
                .output(),
            )
            body.addOutput(filled)
            node.attributes.set(branch, { kind: 'graph', value: body })
          }
          return [graph.insert({ op: 'Abs', inputs: [node.output()], outputs: ['y'] }).output(), node.output(1)]
        }),
      ),
    )
    expect([types['y'], types['filled']]).toEqual([tensorType('float32', [3, 3]), tensorType('float32', [null, null])])
  })

  test('sequences, whose type is not reported, are made again', async () => {
    const types = await expectEqual(() =>
      buildModel(17, (graph, input) => {
        const x = input('x', [4, 6])
        const parts = graph.insert({ op: 'SplitToSequence', inputs: [x], attributes: { axis: int(1) } }).output()
        const more = graph.insert({ op: 'SequenceInsert', inputs: [parts, x] }).output()
        const joined = graph.insert({ op: 'ConcatFromSequence', inputs: [more], attributes: { axis: int(1) } })
        return [graph.insert({ op: 'Relu', inputs: [joined.output()], outputs: ['y'] }).output()]
      }),
    )
    expect(types['y']).toMatchObject({ kind: 'tensor', dtype: 'float32' })
  })

  test('an unknown operator in a late piece leaves the rest as it is', async () => {
    const types = await expectEqual(() =>
      buildModel(17, (graph, input) => {
        const x = graph.insert({ op: 'Relu', inputs: [input('x', [2])], outputs: ['before'] }).output()
        const odd = graph.insert({ op: 'Odd', domain: 'our.own', inputs: [x], outputs: ['odd'] }).output()
        graph.model.useDomain('our.own')
        return [odd, graph.insert({ op: 'Neg', inputs: [x], outputs: ['after'] }).output()]
      }),
    )
    expect([types['before'], types['odd'], types['after']]).toEqual([
      tensorType('float32', [2]),
      undefined,
      tensorType('float32', [2]),
    ])
  })

  test('a piece holds its own nodes and the arithmetic of shapes before it', () => {
    const chain = (op: string, from: string, count: number): NodeProto[] =>
      Array.from({ length: count }, (_, i) => ({
        opType: op,
        input: [i ? `${from}_${op}_${i - 1}` : from],
        output: [`${from}_${op}_${i}`],
      }))
    const float = { tensorType: { elemType: 1, shape: { dim: [{}, {}] } } }
    const list = { tensorType: { elemType: 7, shape: { dim: [{ dimValue: 2 }] } } }
    const node = [
      ...chain('Relu', 'x', 40),
      { opType: 'Shape', input: ['x_Relu_39'], output: ['s'] },
      ...chain('Neg', 'x_Relu_39', 49),
      { opType: 'Reshape', input: ['x_Relu_39_Neg_48', 's'], output: ['y'] },
    ]
    const learnt = new Map(node.flatMap(({ output }) => output!.map((name) => [name, name === 's' ? list : float])))
    const outputs = new Map(node.map(({ output }) => [output![0]!, {} as never]))
    const graph = { node, input: [{ name: 'x', type: float }], initializer: [], output: [] }
    const pieces = [...piecesOf({ graph, outputs }, learnt, 30)].map((piece) => ({
      nodes: piece.graph.node!.length,
      inputs: piece.graph.input!.map(({ name }) => name),
      asked: piece.outputs.size,
      handedOn: [...piece.handedOn],
    }))
    expect(pieces).toEqual([
      { nodes: 30, inputs: ['x'], asked: 30, handedOn: ['x_Relu_29'] },
      { nodes: 30, inputs: ['x_Relu_29'], asked: 30, handedOn: ['x_Relu_39', 's', 'x_Relu_39_Neg_18'] },
      { nodes: 30, inputs: ['x_Relu_39_Neg_18'], asked: 30, handedOn: ['x_Relu_39_Neg_48'] },
      { nodes: 2, inputs: ['x_Relu_39_Neg_48', 'x_Relu_39'], asked: 1, handedOn: [] },
    ])
  })
})

describe.skipIf(!hasShared)('types of the shared models in pieces are those of the whole', () => {
  test.each(readableModels())('%s', async (file) => {
    const read = () => readModel(shared(file))
    for (const scalars of [true, false])
      expect(await typesOf(read(), 20, scalars)).toEqual(await typesOf(read(), Number.POSITIVE_INFINITY, scalars))
  })
})
