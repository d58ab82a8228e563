import { describe, expect, test } from 'vitest'
import { float, int, ints, tensor } from '../../../src/graph/attributes.ts'
import { modelToProto } from '../../../src/graph/export.ts'
import { Graph } from '../../../src/graph/graph.ts'
import type { Model } from '../../../src/graph/model.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import { tensorType } from '../../../src/graph/types.ts'
import type { Value } from '../../../src/graph/value.ts'
import { encodeToBytes } from '../../../src/onnx/encode.ts'
import { toHalf } from '../../support/float16.ts'
import { draw, expectClose, opsOf, run } from '../../support/rules.ts'

/** Converts, runs before and after (inputs and outputs stay float32), compares. */
async function expectSame(model: Model, options: Parameters<typeof toHalf>[1] = {}, tolerance = 5e-3) {
  const expected = await run(model)
  const result = await toHalf(model, options)
  expectClose(await run(model), expected, tolerance)
  return result
}

const bytes = (model: Model): Uint8Array => encodeToBytes(modelToProto(model))

describe('numbers', () => {
  test('large weights keep their layer in float32, and the note names the tensor', async () => {
    const model = await draw(({ input, op, constant }) =>
      op.Mul(op.MatMul(input('x', [2, 2]), constant(Tensor.float32([2, 2], [70000, 1, 2, 3]), 'big')), 1e-3),
    )
    const { notes, data } = await expectSame(model)
    expect(notes.find(({ code }) => code === 'float16/overflow')?.message).toContain('"big" has 1 of 4 values')
    expect(data).toMatchObject({ float32Ops: { MatMul: 1 } })
  })

  test('overflow=clip limits them, overflow=error stops the build', async () => {
    const make = () =>
      draw(({ input, op, constant }) =>
        op.Mul(input('x', [4]), constant(Tensor.float32([4], [70000, -1e9, 3, -65504]), 'big')),
      )
    const clipped = await make()
    await toHalf(clipped, { overflow: 'clip' })
    const [half] = [...clipped.graph.initializers].map(({ tensor }) => tensor!.toNumbers())
    expect(half).toEqual([65504, -65504, 3, -65504])
    await expect(toHalf(await make(), { overflow: 'error' })).rejects.toMatchObject({
      code: 'FLOAT16_OVERFLOW',
      what: expect.stringContaining('"big"'),
    })
  })

  test('a mask of -3.4e38 becomes the lowest half and an epsilon of 1e-12 the smallest', async () => {
    const model = await draw(({ input, op, constant }) => {
      const masked = op.Add(input('x', [2, 2]), constant(Tensor.float32([2, 2], [0, -3.4028235e38, 0, 0]), 'mask'))
      return op.Add(op.Softmax(masked, { axis: -1 }), 1e-12)
    })
    await expectSame(model)
    expect([...model.graph.initializers].flatMap(({ tensor }) => tensor!.toNumbers())).toEqual([
      0,
      -65504,
      0,
      0,
      2 ** -24,
    ])
  })

  test('subnormals keep their value, zero, infinity and NaN stay what they are', async () => {
    const numbers = [1e-5, 0, Number.POSITIVE_INFINITY, Number.NaN, 1]
    const model = await draw(({ input, op, constant }) =>
      op.Mul(input('x', [5]), constant(Tensor.float32([5], numbers))),
    )
    await toHalf(model)
    const half = [...model.graph.initializers][0]!.tensor!.toNumbers()
    expect(half[0]).toBeCloseTo(1.0014e-5, 9)
    expect(half.slice(1)).toEqual([0, Number.POSITIVE_INFINITY, Number.NaN, 1])
  })

  test('weights that are all below the smallest normal half stay float32', async () => {
    const model = await draw(({ input, op, constant }) => {
      const tiny = op.Mul(input('x', [3]), constant(Tensor.float32([3], [1e-6, 2e-6, 3e-7]), 'tiny'))
      return op.Mul(tiny, 1e6)
    })
    const { notes } = await expectSame(model)
    expect(notes.map(({ code }) => code)).toContain('float16/faint')
  })
})

describe('casts', () => {
  test('a kept input and output have one Cast each, the node in between none', async () => {
    const model = await draw(({ input, op, weight }) => op.Relu(op.MatMul(input('x', [2, 3]), weight([3, 4]))))
    await expectSame(model)
    expect(opsOf(model)).toBe('2 Cast, MatMul, Relu')
    expect(model.graph.outputs[0]!.dtype).toBe('float32')
  })

  test('keepIoTypes=false converts the signature, keepIo names what stays', async () => {
    const make = () => draw(({ input, op }) => [op.Add(input('x', [2]), input('y', [2])), op.Neg(input('z', [2]))])
    const all = await make()
    await toHalf(all, { keepIoTypes: false })
    expect(opsOf(all)).toBe('Add, Neg')
    expect([...all.graph.inputs, ...all.graph.outputs].every(({ dtype }) => dtype === 'float16')).toBe(true)
    const some = await make()
    const names = [some.graph.inputs[1]!.name, some.graph.outputs[1]!.name]
    await toHalf(some, { keepIoTypes: false, keepIo: names })
    expect(some.graph.inputs.map(({ dtype }) => dtype)).toEqual(['float16', 'float32', 'float16'])
    expect(some.graph.outputs.map(({ dtype }) => dtype)).toEqual(['float16', 'float32'])
    await run(some)
  })

  test('two blocked readers of one value share one Cast', async () => {
    const model = await draw(({ input, op }) => {
      const sum = op.Add(input('x', [2, 2]), input('y', [2, 2]))
      return op.Add(op.Min(sum, 0.5), op.Max(sum, 0.25))
    })
    await expectSame(model, { float32Ops: ['Min', 'Max'] })
    const casts = [...model.graph.nodes()].filter((node) => node.is('Cast'))
    expect(casts.filter((node) => node.output().dtype === 'float32' && !node.output().isOutput)).toHaveLength(1)
  })

  test('an output that is read inside keeps its name and gets one Cast', async () => {
    const model = await draw(({ input, op }) => {
      const first = op.Relu(input('x', [3]))
      return [first, op.Exp(first)]
    })
    const names = model.graph.outputs.map(({ name }) => name)
    await expectSame(model)
    expect(model.graph.outputs.map(({ name }) => name)).toEqual(names)
    const wrong = [...model.graph.nodes()].filter(
      (node) => node.is('Cast') && node.input(0)?.producer?.is('Cast') && node.input(0)?.dtype !== node.output().dtype,
    )
    expect(wrong).toEqual([])
  })

  test('an input that is an output too stays what it is', async () => {
    const model = await draw(({ input, op }) => {
      const x = input('x', [3])
      return [x, op.Exp(op.Neg(x))]
    })
    await expectSame(model)
    expect(model.graph.outputs[0]).toBe(model.graph.inputs[0])
  })

  test('Shape and a Cast to integers of a float32 input need no Cast', async () => {
    const model = await draw(({ input, op }) => {
      const x = input('x', [2, 3])
      return [op.Shape(x), op.Cast(x, { to: 7 })]
    })
    const before = opsOf(model)
    expect((await toHalf(model)).changes).toBe(0)
    expect(opsOf(model)).toBe(before)
  })

  test('an initializer of a float32 and a float16 reader has both forms', async () => {
    const model = await draw(({ input, op, constant }) => {
      const shared = constant(Tensor.float32([2], [0.1, 0.2]), 'shared')
      return op.Mul(op.Add(input('x', [2]), shared), shared)
    })
    await expectSame(model, { float32Ops: ['Mul'] })
    expect([...model.graph.initializers].map(({ dtype }) => dtype).sort()).toEqual(['float16', 'float32'])
  })
})

describe('attributes that hold a type', () => {
  test('Cast from integers and ConstantOfShape without value', async () => {
    const model = await draw(({ input, op }) => {
      const x = input('x', [2, 3])
      const counts = op.Cast(input('n', [2, 3], 'int64'), { to: 1 })
      return op.Add(op.Add(x, op.ConstantOfShape(op.Shape(x))), counts)
    })
    await expectSame(model)
    const node = [...model.graph.nodes()].find(({ opType }) => opType === 'ConstantOfShape')!
    expect(node.output().dtype).toBe('float16')
  })

  test.each(['cpu', 'webgpu'])('RandomNormal on %s', async (device) => {
    const model = await draw(({ graph, input, op }) => {
      const attributes = { shape: ints([2, 3]), seed: float(1) }
      const random = graph.insert({ op: 'RandomNormal', inputs: [], attributes }).output()
      random.type = tensorType('float32', [2, 3])
      return op.Mul(random, input('x', [2, 3]))
    })
    await toHalf(model, { device })
    const node = [...model.graph.nodes()].find(({ opType }) => opType === 'RandomNormal')!
    // ONNX Runtime's CPU kernel makes float32 only.
    expect(node.int('dtype')).toBe(device === 'cpu' ? undefined : 10)
    expect(node.output().dtype).toBe(device === 'cpu' ? 'float32' : 'float16')
    if (device === 'cpu') await run(model)
  })

  test('a fill of -3.4e38 becomes the lowest half', async () => {
    const model = await draw(({ input, op }) => {
      const x = input('x', [2, 2])
      const value = tensor(Tensor.float32([1], [-3.4028235e38]))
      const fill = op.ConstantOfShape(op.Shape(x), { value } as never)
      return op.Softmax(op.Concat(x, fill, { axis: 1 }), { axis: -1 })
    })
    await expectSame(model)
  })

  test('positions up to 4000 stay exact: Range and the sine of it are float32', async () => {
    const model = await draw(({ graph, input, op }) => {
      const n = input('n', [], 'float32')
      const range = graph.insert({
        op: 'Range',
        inputs: [
          graph.addInitializer('start', Tensor.int64([0], [])),
          graph.addInitializer('limit', Tensor.int64([4000], [])),
          graph.addInitializer('step', Tensor.int64([1], [])),
        ],
      })
      range.output().type = tensorType('int64', [4000])
      const angles = op.Mul(op.Cast(range.output(), { to: 1 }), 0.7)
      return op.Add(op.Sin(angles), op.Mul(n, 0))
    })
    await expectSame(model, {}, 2e-3)
  })
})

describe('graphs in graphs', () => {
  /** `if (flag) x * 2 else x + weight`; both branches have an initializer of one name. */
  const branches = () =>
    draw(({ graph, input, op }) => {
      const x = input('x', [2])
      const flag = op.Greater(op.ReduceSum(x, { keepdims: 0 }), -1000)
      const node = graph.insert({ op: 'If', inputs: [flag] })
      for (const [name, type] of [
        ['then_branch', 'Mul'],
        ['else_branch', 'Add'],
      ] as const) {
        const body = new Graph(graph.model, name, node)
        const weight = body.addInitializer('w', Tensor.float32([2], [2, 3]))
        const inner = body.insert({ op: type, inputs: [x, weight], types: [tensorType('float32', [2])] })
        body.addOutput(inner.output())
        node.attributes.set(name, { kind: 'graph', value: body })
      }
      node.output().type = tensorType('float32', [2])
      return op.Neg(node.output())
    })

  test('both branches of an If are converted', async () => {
    const model = await branches()
    await expectSame(model)
    const inside = [...model.graph.allNodes()].filter(({ graph }) => graph.owner)
    expect(inside.map(({ opType }) => opType)).toEqual(['Mul', 'Add'])
    expect(inside.every((node) => node.output().dtype === 'float16')).toBe(true)
  })

  test('a float32 node in a branch gets its Casts in the branch', async () => {
    const model = await branches()
    await expectSame(model, { float32Ops: ['Mul'] })
    const casts = [...model.graph.allNodes()].filter((node) => node.is('Cast') && node.graph.owner)
    expect(casts.length).toBeGreaterThan(0)
  })

  test('float state and float results of a Loop', async () => {
    const model = await draw(({ graph, input, op, constant }) => {
      const x = input('x', [2])
      const trips = constant(Tensor.int64([3], []))
      const node = graph.insert({ op: 'Loop', inputs: [trips, null, x], outputs: 2 })
      const body = new Graph(graph.model, 'body', node)
      body.addInput('i', tensorType('int64', []))
      const condition = body.addInput('condition', tensorType('bool', []))
      const state = body.addInput('state', tensorType('float32', [2]))
      for (const name of ['i', 'condition', 'state']) graph.model.names.reserve(name)
      const next = body.insert({ op: 'Mul', inputs: [state, x], types: [tensorType('float32', [2])] }).output()
      const go = body.insert({ op: 'Identity', inputs: [condition], types: [tensorType('bool', [])] }).output()
      const copy = body.insert({ op: 'Identity', inputs: [next], types: [tensorType('float32', [2])] }).output()
      for (const value of [go, next, copy]) body.addOutput(value)
      node.attributes.set('body', { kind: 'graph', value: body })
      return [op.Tanh(node.output(0)), op.Tanh(node.output(1))]
    })
    await expectSame(model)
    const loop = [...model.graph.nodes()].find(({ opType }) => opType === 'Loop')!
    expect(loop.output(0).dtype).toBe('float16')
  })

  test("a model's own functions are inlined and converted", async () => {
    const model = await draw(({ graph, input }) => {
      const call = graph.insert({
        op: 'Scale',
        domain: 'own',
        inputs: [input('x', [3])],
        attributes: { alpha: float(2) },
      })
      return call.output()
    })
    const body = new Graph(model, 'Scale')
    const x = body.addInput('x')
    const factor = body.insert({ op: 'Constant', inputs: [] })
    factor.attributes.set('value_float', { kind: 'reference', value: 'alpha', type: 1 })
    body.addOutput(body.insert({ op: 'Mul', inputs: [x, factor.output()] }).output())
    model.useDomain('own')
    const opsets = new Map([['', 17]])
    model.functions.push({
      name: 'Scale',
      domain: 'own',
      overload: '',
      graph: body,
      attributes: ['alpha'],
      defaults: [],
      opsets,
      extra: {},
    })
    model.graph.outputs[0]!.type = tensorType('float32', [3])
    await expectSame(model)
    expect(model.functions).toEqual([])
    expect(opsOf(model)).toBe('2 Cast, Constant, Mul')
  })
})

describe('what stays float32', () => {
  test('by operator, by node glob, by the name of an output; unnamed nodes too', async () => {
    const make = () =>
      draw(({ graph, input }) => {
        const first = graph.insert({ op: 'Relu', inputs: [input('x', [2])], name: 'block/act', outputs: ['a'] })
        const second = graph.insert({ op: 'Exp', inputs: [first.output()], outputs: ['b'] })
        second.name = ''
        return graph.insert({ op: 'Neg', inputs: [second.output()], name: 'last', outputs: ['c'] }).output()
      })
    const floats = async (options: Parameters<typeof toHalf>[1]) => {
      const model = await make()
      return ((await expectSame(model, options)).data as { float32Ops: object }).float32Ops
    }
    expect(await floats({})).toEqual({})
    expect(await floats({ float32Ops: ['Exp'] })).toEqual({ Exp: 1 })
    expect(await floats({ float32Nodes: ['block/*'] })).toEqual({ Relu: 1 })
    expect(await floats({ float32Nodes: ['b'] })).toEqual({ Exp: 1 })
  })

  test('the scales of Resize, found without a table', async () => {
    const model = await draw(({ input, op, constant }) =>
      op.Resize(input('x', [1, 1, 4, 4]), null, constant(Tensor.float32([4], [1, 1, 2, 2]), 'scales')),
    )
    await expectSame(model)
    expect([...model.graph.initializers].map(({ dtype }) => dtype)).toEqual(['float32'])
    expect([...model.graph.nodes()].find(({ opType }) => opType === 'Resize')!.output().dtype).toBe('float16')
  })

  test('an input by choice, where the operator takes both types', async () => {
    const model = await draw(
      ({ graph, input, constant }) => {
        const table = constant(Tensor.float32([2], [0.1, 0.2]), 'scale')
        const node = graph.insert({
          op: 'LayerNormalization',
          inputs: [input('x', [3, 2]), table],
          attributes: { axis: int(-1) },
        })
        return node.output()
      },
      { opset: 17 },
    )
    // The operator takes one type for both: then all of it stays float32.
    expect((await toHalf(model, { float32Inputs: ['LayerNormalization:1'] })).changes).toBe(0)
    expect((await expectSame(model)).data).toMatchObject({ nodes: 1 })
  })

  test('a wrong entry of float32Inputs is an error', async () => {
    const model = await draw(({ input, op }) => op.Relu(input('x', [2])))
    await expect(toHalf(model, { float32Inputs: ['Relu'] })).rejects.toMatchObject({ code: 'OPTION_VALUE' })
  })
})

describe('quantized and other models', () => {
  test.each([13, 19])('DequantizeLinear of opset %i', async (opset) => {
    const model = await draw(
      ({ graph, input, op, constant }) => {
        const weight = constant(Tensor.from('int8', [2, 2], [1, 2, 3, -4]), 'weight')
        const dequantized = graph.insert({
          op: 'DequantizeLinear',
          inputs: [
            weight,
            constant(Tensor.float32([], [0.25]), 'scale'),
            constant(Tensor.from('int8', [], [0]), 'zero'),
          ],
        })
        dequantized.output().type = tensorType('float32', [2, 2])
        return op.MatMul(input('x', [2, 2]), dequantized.output())
      },
      { opset, irVersion: 9 },
    )
    await expectSame(model)
    const scale = [...model.graph.initializers].find(({ name }) => name.startsWith('scale'))!
    expect(scale.dtype).toBe(opset >= 19 ? 'float16' : 'float32')
  })

  test('sequences of floats are converted with all that makes and reads them', async () => {
    const make = () =>
      draw(({ graph, input, op, constant }) => {
        const x = op.Exp(input('x', [2]))
        const sequence = (op: string, ...inputs: Value[]) => graph.insert({ op, inputs }).output()
        const at = constant(Tensor.int64([0], []))
        const empty = graph.insert({ op: 'SequenceEmpty', inputs: [] }).output()
        const list = sequence('SequenceInsert', sequence('SequenceInsert', empty, x), op.Neg(x), at)
        const both = graph.insert({ op: 'ConcatFromSequence', inputs: [list], attributes: { axis: int(0) } }).output()
        const first = sequence('SequenceAt', list, at)
        both.type = tensorType('float32', [4])
        first.type = tensorType('float32', [2])
        return [op.Neg(both), op.Abs(first)]
      })
    const model = await make()
    await expectSame(model)
    const floats = [...model.graph.nodes()]
      .flatMap(({ inputs }) => inputs)
      .filter((value) => value?.dtype === 'float32')
    expect(floats.map((value) => value!.isInput)).toEqual([true])
    // One node that stays float32 keeps all of them there.
    const blocked = await make()
    await expectSame(blocked, { float32Ops: ['SequenceAt'] })
    const empty = [...blocked.graph.nodes()].find(({ opType }) => opType === 'SequenceEmpty')!
    expect(empty.attributes.has('dtype')).toBe(false)
  })

  test('sequences that leave the model, or are split, stay as they are', async () => {
    const model = await draw(({ graph, input, op }) => {
      const x = op.Exp(input('x', [2]))
      const split = graph.insert({ op: 'SplitToSequence', inputs: [x], attributes: { axis: int(0) } })
      const back = graph.insert({ op: 'ConcatFromSequence', inputs: [split.output()], attributes: { axis: int(0) } })
      back.output().type = tensorType('float32', [2])
      return op.Neg(back.output())
    })
    await expectSame(model)
  })

  test('models of integers, and those that are float16 already, stay byte for byte', async () => {
    const integers = await draw(({ input, op }) => op.Add(input('x', [2], 'int64'), input('y', [2], 'int64')))
    const halves = await draw(({ input, op, weight }) =>
      op.MatMul(input('x', [2, 2], 'float16'), weight([2, 2], { dtype: 'float16' })),
    )
    for (const model of [integers, halves]) {
      const before = bytes(model)
      const { changes, notes } = await toHalf(model)
      expect(changes).toBe(0)
      expect(notes.map(({ code }) => code)).toEqual(['float16/nothing'])
      expect(bytes(model)).toEqual(before)
    }
  })

  test('a second conversion changes nothing', async () => {
    const model = await draw(({ input, op, weight }) => op.Relu(op.MatMul(input('x', [2, 3]), weight([3, 4]))))
    await toHalf(model)
    const before = bytes(model)
    await toHalf(model)
    expect(bytes(model)).toEqual(before)
  })

  test('an operator that ONNX Runtime does not know stays float32', async () => {
    const model = await draw(({ graph, input, op }) => {
      const x = op.Exp(input('x', [2]))
      const custom = graph.insert({ op: 'Mystery', domain: 'elsewhere', inputs: [x] })
      custom.output().type = tensorType('float32', [2])
      graph.model.useDomain('elsewhere')
      return op.Neg(custom.output())
    })
    await toHalf(model)
    const custom = [...model.graph.nodes()].find(({ opType }) => opType === 'Mystery')!
    expect([custom.input(0)!.dtype, custom.output().dtype]).toEqual(['float32', 'float32'])
    expect([...model.graph.nodes()].find(({ opType }) => opType === 'Exp')!.output().dtype).toBe('float16')
  })
})
