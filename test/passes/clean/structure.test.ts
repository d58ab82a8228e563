import { describe, expect, test } from 'vitest'
import { float, graph as graphAttribute, int, tensor } from '../../../src/graph/attributes.ts'
import { Graph } from '../../../src/graph/graph.ts'
import type { Model } from '../../../src/graph/model.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import { tensorType } from '../../../src/graph/types.ts'
import type { Value } from '../../../src/graph/value.ts'
import { run } from '../../../src/passes/clean/run.ts'
import { buildModel, bytesOf, copyOf, difference, passContext, runModel } from '../../support/models.ts'

const clean = async (model: Model) => (await run(model, {}, passContext())).changes
const ops = (model: Model) => [...model.graph.allNodes()].map(({ qualifiedType }) => qualifiedType)
const initializers = (model: Model) => [...model.graph.initializers].map(({ name }) => name)

describe('dead code', () => {
  test('chains of unused nodes, unused initializers; unused inputs stay', async () => {
    const model = buildModel(13, (graph, input) => {
      const x = input('x', [2])
      input('unused', [2])
      const weight = graph.addInitializer('weight', Tensor.float32([2], [1, 2]))
      graph.addInitializer('stray', Tensor.float32([2], [1, 2]))
      const dead = graph.insert({ op: 'Add', inputs: [x, weight] }).output()
      graph.insert({ op: 'Exp', inputs: [dead] })
      return [graph.insert({ op: 'Neg', inputs: [x] }).output()]
    })
    await clean(model)
    expect(ops(model)).toEqual(['Neg'])
    expect(initializers(model)).toEqual([])
    expect(model.graph.inputs.map(({ name }) => name)).toEqual(['x', 'unused'])
  })

  test('an operator of an unknown domain may have effects', async () => {
    const model = buildModel(13, (graph, input) => {
      const x = input('x', [2])
      graph.insert({ op: 'Print', domain: 'my.domain', inputs: [x] })
      return [graph.insert({ op: 'Neg', inputs: [x] }).output()]
    })
    expect(await clean(model)).toBe(0)
  })

  test('a default that callers may replace is part of the signature', async () => {
    const model = buildModel(13, (graph, input) => {
      graph.setInitializer(input('scale', [1]), Tensor.float32([1], [2]))
      return [graph.insert({ op: 'Neg', inputs: [input('x', [2])] }).output()]
    })
    expect(await clean(model)).toBe(0)
  })

  test('what a branch of an If captures is alive', async () => {
    const model = buildModel(13, (graph, input) => {
      const captured = graph.addInitializer('captured', Tensor.float32([1], [3]))
      const x = input('x', [1])
      const branch = (op: string) => {
        const body = new Graph(graph.model, op)
        body.addOutput(body.insert({ op, inputs: [captured, x], types: [tensorType('float32', [1])] }).output())
        return graphAttribute(body)
      }
      const attributes = { then_branch: branch('Add'), else_branch: branch('Mul') }
      const node = graph.insert({ op: 'If', inputs: [input('condition', [], 'bool')], attributes })
      for (const { value } of Object.values(attributes)) (value as Graph).owner = node
      return [node.output()]
    })
    expect(await clean(copyOf(model))).toBe(0)
    const x = Tensor.float32([1], [5])
    const result = await runModel(model, { x, condition: Tensor.from('bool', [], [0]) })
    expect(Object.values(result)[0]!.toNumbers()).toEqual([15])
  })
})

describe('duplicate constants', () => {
  const sum = (tensors: Tensor[], form: 'initializer' | 'node') =>
    buildModel(13, (graph, input) => {
      const x = input('x', [1])
      const values = tensors.map((data, i) =>
        form === 'initializer'
          ? graph.addInitializer(`c${i}`, data)
          : graph.insert({ op: 'Constant', inputs: [], attributes: { value: tensor(data) } }).output(),
      )
      return values.map((value) => graph.insert({ op: 'Max', inputs: [x, value] }).output())
    })
  const constants = (model: Model) =>
    model.graph.initializers.size + ops(model).filter((op) => op === 'Constant').length

  const word = (bits: number) => Tensor.of('float32', [1], new Uint8Array(new Uint32Array([bits]).buffer))
  test.each(['initializer', 'node'] as const)('equal %ss become one', async (form) => {
    const model = sum([Tensor.float32([2], [1, 2]), Tensor.float32([2], [1, 2])], form)
    await clean(model)
    expect(constants(model)).toBe(1)
  })
  test.each([
    ['0 and -0', Tensor.float32([1], [0]), Tensor.float32([1], [-0])],
    ['NaNs of other bits', word(0x7fc00000), word(0x7fc00001)],
    ['shapes', Tensor.float32([2, 1], [1, 2]), Tensor.float32([1, 2], [1, 2])],
    [
      'one element in the middle',
      Tensor.float32([999], new Float32Array(999)),
      Tensor.float32([999], new Float32Array(999).fill(1, 600, 601)),
    ],
  ])('not: %s', async (_, a, b) => {
    const model = sum([a, b], 'initializer')
    await clean(model)
    expect(constants(model)).toBe(2)
  })
  test('not: types', async () => {
    const model = buildModel(13, (graph, input) =>
      (['int32', 'float32'] as const).map((dtype) => {
        const zeros = graph.addInitializer(dtype, Tensor.from(dtype, [2], [0, 0]))
        return graph.insert({ op: 'Max', inputs: [input(`x_${dtype}`, [2], dtype), zeros] }).output()
      }),
    )
    expect(await clean(model)).toBe(0)
  })
  test('one that callers may replace stays apart', async () => {
    const model = buildModel(13, (graph, input) => {
      const open = input('open', [1])
      graph.setInitializer(open, Tensor.float32([1], [2]))
      const closed = graph.addInitializer('closed', Tensor.float32([1], [2]))
      return [graph.insert({ op: 'Sub', inputs: [open, closed] }).output()]
    })
    expect(await clean(model)).toBe(0)
  })
  test('one that is a graph output keeps its name', async () => {
    const model = buildModel(13, (graph, input) => {
      const data = Tensor.float32([2], [1, 2])
      const kept = graph.addInitializer('kept', data)
      const other = graph.addInitializer('other', Tensor.float32([2], [1, 2]))
      return [graph.insert({ op: 'Add', inputs: [input('x', [2]), kept] }).output(), other]
    })
    await clean(model)
    expect(initializers(model)).toContain('other')
    expect(model.graph.outputs[1]!.name).toBe('other')
  })
})

describe('duplicate computations', () => {
  const twice = (op: string, attributes: [object, object], domain = '') =>
    buildModel(13, (graph, input) => {
      const x = input('x', [2, 3])
      const parts = attributes.map((own) =>
        graph.insert({
          op: 'Neg',
          inputs: [graph.insert({ op, domain, inputs: [x], attributes: own as never }).output()],
        }),
      )
      return [
        graph
          .insert({ op: 'Concat', inputs: parts.map((part) => part.output()), attributes: { axis: int(0) } })
          .output(),
      ]
    })
  test('equal operators on equal inputs, and what follows', async () => {
    const model = twice('Softmax', [{ axis: int(1) }, { axis: int(1) }])
    await clean(model)
    expect(ops(model)).toEqual(['Softmax', 'Neg', 'Concat'])
  })
  test.each([
    ['attributes differ', twice('Softmax', [{ axis: int(1) }, { axis: int(0) }])],
    ['0 and -0', twice('Elu', [{ alpha: float(0) }, { alpha: float(-0) }])],
    ['random numbers', twice('RandomNormalLike', [{}, {}])],
    ['unknown domain', twice('Anything', [{}, {}], 'my.domain')],
  ])('not: %s', async (_, model) => {
    expect(await clean(model)).toBe(0)
  })
  test('two graph outputs stay two values', async () => {
    const model = buildModel(13, (graph, input) => {
      const x = input('x', [2])
      return [graph.insert({ op: 'Neg', inputs: [x] }).output(), graph.insert({ op: 'Neg', inputs: [x] }).output()]
    })
    expect(await clean(model)).toBe(0)
  })
  test('a graph output keeps its name when an inner value did the same first', async () => {
    const model = buildModel(13, (graph, input) => {
      const x = input('x', [2])
      const inner = graph.insert({ op: 'Neg', inputs: [x] }).output()
      const output = graph.insert({ op: 'Neg', inputs: [x], outputs: ['result'] }).output()
      return [graph.insert({ op: 'Exp', inputs: [inner] }).output(), output]
    })
    await clean(model)
    expect(ops(model)).toEqual(['Neg', 'Exp'])
    expect(model.graph.outputs[1]!.name).toBe('result')
  })
  test('Splits into other numbers of parts are not equal', async () => {
    const model = buildModel(13, (graph, input) => {
      const x = input('x', [6])
      const split = (outputs: number) => graph.insert({ op: 'Split', inputs: [x], outputs }).output()
      return [split(2), split(3)].map((part) => graph.insert({ op: 'Neg', inputs: [part] }).output())
    })
    expect(await clean(model)).toBe(0)
  })
})

describe('If with a constant condition', () => {
  const conditional = (condition: (graph: Graph, input: (name: string) => Value) => Value) =>
    buildModel(16, (graph, input) => {
      const x = input('x', [1])
      const branch = (op: string) => {
        const body = new Graph(graph.model, op)
        const two = body.addInitializer('two', Tensor.float32([1], [2]))
        body.addOutput(body.insert({ op, inputs: [x, two], types: [tensorType('float32', [1])] }).output())
        return graphAttribute(body)
      }
      const attributes = { then_branch: branch('Add'), else_branch: branch('Mul') }
      const node = graph.insert({
        op: 'If',
        inputs: [condition(graph, (name) => input(name, [], 'bool'))],
        attributes,
        outputs: ['result'],
      })
      for (const { value } of Object.values(attributes)) (value as Graph).owner = node
      return [node.output()]
    })
  const x = Tensor.float32([1], [5])
  test.each([
    [true, 'Add', 7],
    [false, 'Mul', 10],
  ])('%s: the branch takes its place', async (taken, op, result) => {
    const model = conditional((graph) => graph.addInitializer('c', Tensor.from('bool', [], [taken ? 1 : 0])))
    await clean(model)
    expect(ops(model)).toEqual([op])
    expect((await runModel(copyOf(model), { x }))['result']!.toNumbers()).toEqual([result])
  })
  test('not: the condition is an input', async () => {
    const model = conditional((_, input) => input('condition'))
    await clean(model)
    expect(ops(model)).toContain('If')
  })
  test('not: callers may replace the condition', async () => {
    const model = conditional((graph, input) => {
      const value = input('condition')
      graph.setInitializer(value, Tensor.from('bool', [], [1]))
      return value
    })
    await clean(model)
    expect(ops(model)).toContain('If')
  })
})

test('a body whose own input has the name that a captured value gets', async () => {
  const model = buildModel(16, (graph, input) => {
    const x = input('x', [1])
    const captured = graph.insert({ op: 'Neg', inputs: [x], outputs: ['captured'] }).output()
    const body = new Graph(graph.model, 'body')
    body.addInput('round', tensorType('int64', []))
    const go = body.addInput('go', tensorType('bool', []))
    const state = body.addInput('result', tensorType('float32', [1]))
    body.addOutput(body.insert({ op: 'Identity', inputs: [go], types: [tensorType('bool', [])] }).output())
    body.addOutput(body.insert({ op: 'Sub', inputs: [state, captured], types: [tensorType('float32', [1])] }).output())
    const rounds = graph.addInitializer('rounds', Tensor.int64([3], []))
    const node = graph.insert({ op: 'Loop', inputs: [rounds, null, x], attributes: { body: graphAttribute(body) } })
    body.owner = node
    return [node.output(), graph.insert({ op: 'Neg', inputs: [x], outputs: ['result'] }).output()]
  })
  const feeds = { x: Tensor.float32([1], [2]) }
  const expected = await runModel(copyOf(model), feeds)
  const cleaned = copyOf(model)
  await clean(cleaned)
  expect(ops(cleaned).filter((op) => op === 'Neg')).toHaveLength(1)
  const actual = await runModel(copyOf(cleaned), feeds)
  expect(Object.keys(actual)).toEqual(Object.keys(expected))
  for (const [name, value] of Object.entries(expected)) expect(difference(actual[name], value)).toBe(0)
})

test('a model without anything to clean stays the same bytes', async () => {
  const model = buildModel(13, (graph, input) => [graph.insert({ op: 'Exp', inputs: [input('x', ['n'])] }).output()])
  const before = bytesOf(model)
  expect(await clean(model)).toBe(0)
  expect(Buffer.compare(bytesOf(model), before)).toBe(0)
})
