import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { float, graph as graphAttribute, int, ints } from '../../../../src/graph/attributes.ts'
import { Graph } from '../../../../src/graph/graph.ts'
import type { Model } from '../../../../src/graph/model.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import { tensorType } from '../../../../src/graph/types.ts'
import type { Value } from '../../../../src/graph/value.ts'
import { compare } from '../../../../src/kernels/index.ts'
import { ACCELERATOR_PRESETS } from '../../../../src/options/presets.ts'
import { createOrtService } from '../../../../src/ort/service.ts'
import { staticQuantization } from '../../../../src/passes/quantize/static/index.ts'
import type { LossReport } from '../../../../src/passes/quantize/static/loss.ts'
import type { StaticOptions } from '../../../../src/passes/quantize/static/settings.ts'
import { buildModel, bytesOf, copyOf, difference, runModel, signatureOf } from '../../../support/models.ts'
import { DEFAULTS, jsonFile, quantizeStatic, random, samplesOf, weight } from '../../../support/static.ts'

/** Quantizes, checks that signature and results are kept, and tells the operators. */
async function check(
  model: Model,
  { calibration, x }: { calibration: string; x: Tensor },
  options: Partial<StaticOptions> = {},
  tolerance = 0.25,
): Promise<Record<string, number>> {
  const before = await runModel(model, { x })
  await createOrtService().inferTypes(model)
  const signature = signatureOf(model)
  await quantizeStatic(model, { calibration, ...options })
  expect(signatureOf(model)).toBe(signature)
  const after = await runModel(copyOf(model), { x })
  for (const [name, expected] of Object.entries(before))
    expect(difference(after[name], expected)).toBeLessThan(tolerance)
  return model.histogram()
}

const convolution = (opset = 17): Model =>
  buildModel(opset, (graph, input) => {
    const conv = (x: Value, name: string, from: number, to: number): Value =>
      graph
        .insert({
          op: 'Conv',
          inputs: [x, weight(graph, `${name}.w`, to, from, 3, 3), weight(graph, `${name}.b`, to)],
          attributes: { pads: ints([1, 1, 1, 1]) },
        })
        .output()
    const relu = (x: Value): Value => graph.insert({ op: 'Relu', inputs: [x] }).output()
    const a = relu(conv(input('x', ['n', 3, 6, 6]), 'a', 3, 8))
    const sum = graph.insert({ op: 'Add', inputs: [conv(a, 'b', 8, 8), a] }).output()
    return [relu(sum)]
  })

const dense = (): Model =>
  buildModel(17, (graph, input) => [
    graph
      .insert({
        op: 'Gemm',
        inputs: [input('x', ['n', 16]), weight(graph, 'w', 16, 8), weight(graph, 'b', 8)],
        attributes: { beta: float(0.5) },
      })
      .output(),
  ])

describe('pairs', () => {
  test('a convolution: integers from the first input to the last sum, Relu done by rounding', async () => {
    const ops = await check(convolution(), samplesOf(1, 3, 6, 6))
    expect(ops).toEqual({ Add: 1, Conv: 2, QuantizeLinear: 4, DequantizeLinear: 8 })
  })

  test('Relu stays if activations are symmetric or the option says so', async () => {
    for (const options of [{ keepActivations: true }, { activationSymmetric: true, activationType: 'int8' }] as const)
      expect((await check(convolution(), samplesOf(1, 3, 6, 6), options))['Relu']).toBe(2)
  })

  test('results of products are float where nobody needs them quantized', async () => {
    expect(await check(dense(), samplesOf(1, 16))).toEqual({ Gemm: 1, QuantizeLinear: 1, DequantizeLinear: 3 })
    const all = await check(dense(), samplesOf(1, 16), { sparePairs: false })
    expect(all).toEqual({ Gemm: 1, QuantizeLinear: 2, DequantizeLinear: 4 })
  })

  test('beta is part of the scale of the bias', async () => {
    const model = dense()
    await check(model, samplesOf(1, 16), {}, 0.03)
    expect([...model.graph.nodes()].find(({ opType }) => opType === 'Gemm')!.float('beta')).toBe(1)
  })

  test.each(['uint8', 'int8', 'uint16', 'int16'] as const)('activations of %s', async (activationType) => {
    await check(dense(), samplesOf(1, 16), { activationType, sparePairs: false }, 0.04)
  })

  test.each([
    { weightType: 'uint8' },
    { weightType: 'uint8', weightSymmetric: true },
    { weightSymmetric: false },
    { reduceRange: true },
    { reduceRange: false },
    { perChannel: false },
    { quantizeBias: false },
    { dedicatedPairs: true },
    { pairOnWeights: true },
    { contribOps: true },
    { restrictedAsymmetric: true },
    { minimumRealRange: 1e-4 },
    { calibrationMethod: 'mse' },
    { calibrationMethod: 'percentile' },
    { allOps: true, sparePairs: false },
    { quantFormat: 'qoperator' },
    { quantFormat: 'qoperator', allOps: true, sparePairs: false, perChannel: false },
    { quantFormat: 'qoperator', weightType: 'int8' },
  ] satisfies Partial<StaticOptions>[])('%o', async (options) => {
    await check(convolution(), samplesOf(1, 3, 6, 6), options, 0.3)
    await check(dense(), samplesOf(1, 16), options, 0.1)
  })

  test('data that is only moved keeps its scale', async () => {
    const model = buildModel(17, (graph, input) => {
      const pooled = graph.insert({
        op: 'MaxPool',
        inputs: [
          graph.insert({ op: 'Conv', inputs: [input('x', [1, 2, 8, 8]), weight(graph, 'w', 4, 2, 3, 3)] }).output(),
        ],
        attributes: { kernel_shape: ints([2, 2]), strides: ints([2, 2]) },
      })
      const turned = graph.insert({
        op: 'Transpose',
        inputs: [pooled.output()],
        attributes: { perm: ints([0, 2, 3, 1]) },
      })
      return [turned.output()]
    })
    expect(await check(model, samplesOf(1, 2, 8, 8))).toMatchObject({ QuantizeLinear: 4, DequantizeLinear: 5 })
    const scales = [...model.graph.initializers].filter(({ name }) => /scale$/.test(name))
    expect(scales.map(({ name }) => name)).toHaveLength(3)
  })

  test('a table is gathered as codes', async () => {
    const model = buildModel(17, (graph, input) => [
      graph.insert({ op: 'Gather', inputs: [weight(graph, 'table', 10, 4), input('x', ['n'], 'int64')] }).output(),
    ])
    const calibration = jsonFile('data.jsonl', '{"x": [1, 2]}')
    const ops = await check(model, { calibration, x: Tensor.int64([1, 9, 3]) }, {}, 0.01)
    expect(ops).toEqual({ Gather: 1, DequantizeLinear: 1 })
  })

  test('BatchNormalization goes into the convolution before it', async () => {
    const model = buildModel(17, (graph, input) => {
      const conv = graph.insert({ op: 'Conv', inputs: [input('x', [1, 2, 4, 4]), weight(graph, 'w', 3, 2, 1, 1)] })
      const positive = graph.addInitializer('variance', Tensor.float32([3], [0.5, 1, 2]))
      const norm = ['gamma', 'beta', 'mean'].map((name) => weight(graph, name, 3))
      return [graph.insert({ op: 'BatchNormalization', inputs: [conv.output(), ...norm, positive] }).output()]
    })
    expect(await check(model, samplesOf(1, 2, 4, 4))).toEqual({ Conv: 1, QuantizeLinear: 2, DequantizeLinear: 4 })
  })

  test('what a body of If reads is read as before', async () => {
    const model = buildModel(17, (graph, input) => {
      const product = graph.insert({ op: 'MatMul', inputs: [input('x', [2, 4]), weight(graph, 'w', 4, 4)] }).output()
      product.type = tensorType('float32', [2, 4])
      const branch = (op: string): Graph => {
        const body = new Graph(graph.model, op)
        body.addOutput(body.insert({ op, inputs: [product], types: [tensorType('float32', [2, 4])] }).output())
        return body
      }
      const condition = graph.addInitializer('condition', Tensor.from('bool', [], [1]))
      const node = graph.insert({
        op: 'If',
        inputs: [condition],
        attributes: { then_branch: graphAttribute(branch('Neg')), else_branch: graphAttribute(branch('Abs')) },
        types: [tensorType('float32', [2, 4])],
      })
      return [node.output()]
    })
    const ops = await check(copyOf(model), samplesOf(2, 4), { sparePairs: false })
    expect(ops).toMatchObject({ MatMul: 1, QuantizeLinear: 2 })
  })
})

describe('what is left float', () => {
  test('tensors with masks', async () => {
    const model = buildModel(17, (graph, input) => {
      const x = input('x', [1, 4])
      const scores = graph.insert({ op: 'MatMul', inputs: [x, weight(graph, 'w', 4, 4)] }).output()
      const mask = graph.addInitializer('mask', Tensor.float32([4], [0, 0, 0, -3.4028234663852886e38]))
      const masked = graph.insert({ op: 'Add', name: 'masked', inputs: [scores, mask] }).output()
      return [graph.insert({ op: 'Softmax', inputs: [masked] }).output()]
    })
    const data = samplesOf(1, 4)
    const result = copyOf(model)
    await check(result, data, { allOps: true, sparePairs: false }, 0.02)
    const add = [...result.graph.nodes()].find(({ name }) => name === 'masked')!
    expect(add.output().users.map(({ opType }) => opType)).toEqual(['Softmax'])
  })

  test('excluded nodes, by glob', async () => {
    const model = convolution()
    await check(model, samplesOf(1, 3, 6, 6), { excludeNodes: ['Conv*'] })
    expect(model.histogram()['QuantizeLinear']).toBeUndefined()
  })

  test('a model that is quantized already', async () => {
    const model = dense()
    const { calibration } = samplesOf(1, 16)
    await quantizeStatic(model, { calibration })
    const bytes = bytesOf(model)
    const { changes, notes } = await quantizeStatic(model, { calibration })
    expect(changes).toBe(0)
    expect(notes.map(({ code }) => code)).toEqual(['quantize/already-quantized'])
    expect(Buffer.compare(bytesOf(model), bytes)).toBe(0)
  })

  test('a tensor that is never finite', async () => {
    const model = buildModel(17, (graph, input) => {
      const root = graph.insert({ op: 'Sqrt', inputs: [input('x', [1, 4])] }).output()
      return [graph.insert({ op: 'MatMul', inputs: [root, weight(graph, 'w', 4, 4)] }).output()]
    })
    const { notes } = await quantizeStatic(model, { calibration: jsonFile('data.jsonl', '{"x": [[-1, -1, -1, -1]]}') })
    expect(notes.map(({ code }) => code)).toContain('quantize/no-range')
    expect(model.histogram()['QuantizeLinear']).toBeUndefined()
  })

  test('a Conv whose Relu is gone still rounds to codes: it stays correct as integer operator or not', async () => {
    // A computed bias keeps the Conv float.
    const model = buildModel(17, (graph, input) => {
      const bias = graph.insert({
        op: 'ReduceMean',
        inputs: [input('x', [1, 2, 4, 4])],
        attributes: { axes: ints([0, 2, 3]), keepdims: int(0) },
      })
      const conv = graph.insert({
        op: 'Conv',
        inputs: [graph.inputs[0]!, weight(graph, 'w', 2, 2, 1, 1), bias.output()],
      })
      return [graph.insert({ op: 'Relu', inputs: [conv.output()] }).output()]
    })
    await check(model, samplesOf(1, 2, 4, 4), { quantFormat: 'qoperator' })
  })
})

describe('defects of other tools', () => {
  test('a Relu in front of an output is not lost', async () => {
    const model = buildModel(17, (graph, input) => [
      graph
        .insert({
          op: 'Relu',
          inputs: [
            graph.insert({ op: 'Conv', inputs: [input('x', [1, 2, 4, 4]), weight(graph, 'w', 2, 2, 1, 1)] }).output(),
          ],
        })
        .output(),
    ])
    await check(model, samplesOf(1, 2, 4, 4))
  })

  test('a weight of rank 3 has scales along its last axis', async () => {
    const model = buildModel(17, (graph, input) => [
      graph.insert({ op: 'MatMul', inputs: [input('x', [2, 3, 4]), weight(graph, 'w', 2, 4, 6)] }).output(),
    ])
    await check(model, samplesOf(2, 3, 4))
    const dequantize = [...model.graph.nodes()].find(({ name }) => name === 'w_DequantizeLinear')!
    expect(dequantize.int('axis')).toBe(2)
    expect(dequantize.input(1)!.tensor!.dims).toEqual([6])
  })

  test('a bias shared by two nodes has a scale for each', async () => {
    const model = buildModel(17, (graph, input) => {
      const bias = weight(graph, 'b', 4)
      const x = input('x', [2, 4])
      const one = graph.insert({ op: 'Gemm', inputs: [x, weight(graph, 'u', 4, 4), bias] }).output()
      return [graph.insert({ op: 'Gemm', inputs: [one, weight(graph, 'v', 4, 4), bias] }).output()]
    })
    await check(model, samplesOf(2, 4))
  })

  test('a weight shared by two nodes is stored once', async () => {
    const model = buildModel(17, (graph, input) => {
      const shared = weight(graph, 'w', 4, 4)
      const one = graph.insert({ op: 'MatMul', inputs: [input('x', [2, 4]), shared] }).output()
      return [graph.insert({ op: 'MatMul', inputs: [one, shared] }).output()]
    })
    await check(model, samplesOf(2, 4), {}, 0.1)
    const matrices = [...model.graph.initializers].filter(({ tensor }) => tensor!.dims.length === 2)
    expect(matrices.map(({ tensor }) => tensor!.dtype)).toEqual(['int8'])
  })

  test('biases too large for int32 raise the scale of the weight, per channel and with beta', async () => {
    const model = buildModel(17, (graph, input) => {
      const tiny = graph.addInitializer(
        'w',
        Tensor.float32(
          [4, 2],
          Array.from({ length: 8 }, () => random() * 1e-9),
        ),
      )
      const bias = graph.addInitializer('b', Tensor.float32([2], [3, -2]))
      const node = graph.insert({
        op: 'Gemm',
        inputs: [input('x', [2, 4]), tiny, bias],
        attributes: { beta: float(2) },
      })
      return [node.output()]
    })
    await check(model, samplesOf(2, 4), {}, 1e-3)
  })

  test('a model of opset 9 becomes one of opset 11, unless that changes its meaning', async () => {
    const model = buildModel(9, (graph, input) => [
      graph.insert({ op: 'MatMul', inputs: [input('x', [2, 4]), weight(graph, 'w', 4, 4)] }).output(),
    ])
    await check(model, samplesOf(2, 4))
    expect(model.opset).toBe(11)
    const old = buildModel(9, (graph, input) => {
      const padded = graph.insert({ op: 'Pad', inputs: [input('x', [2, 4])], attributes: { pads: ints([0, 0, 0, 0]) } })
      return [graph.insert({ op: 'MatMul', inputs: [padded.output(), weight(graph, 'w', 4, 4)] }).output()]
    })
    const { changes, notes } = await quantizeStatic(old, samplesOf(2, 4))
    expect([changes, old.opset]).toEqual([0, 9])
    expect(notes[0]!.code).toBe('quantize/opset-too-old')
  })
})

describe('settings by tensor', () => {
  const overridden = async (overrides: unknown): Promise<Model> => {
    const model = dense()
    await quantizeStatic(model, { ...samplesOf(1, 16), tensorOverrides: jsonFile('overrides.json', overrides) })
    return model
  }

  test('are followed', async () => {
    const model = await overridden({ x: { scale: 0.5, zeroPoint: 3 }, w: { type: 'uint8', symmetric: false } })
    const constants = new Map([...model.graph.initializers].map(({ name, tensor }) => [name, tensor!]))
    expect(constants.get('x_scale')!.toNumbers()).toEqual([0.5])
    expect(constants.get('x_zero_point')!.toNumbers()).toEqual([3])
    expect(constants.get('w_quantized')!.dtype).toBe('uint8')
    expect((await overridden({ x: { float: true } })).histogram()['QuantizeLinear']).toBeUndefined()
  })

  test('a bias with settings of its own is a weight like others', async () => {
    const model = await overridden({ b: { type: 'int8', symmetric: true } })
    const types = new Map([...model.graph.initializers].map(({ name, tensor }) => [name, tensor!.dtype]))
    expect([types.get('b_quantized'), types.get('w_quantized')]).toEqual(['int8', 'int8'])
  })

  test('a bias that does not fit is told, where no room may be made for it', async () => {
    const model = buildModel(17, (graph, input) => {
      const tiny = graph.addInitializer(
        'w',
        Tensor.float32(
          [4, 2],
          Array.from({ length: 8 }, () => random() * 1e-9),
        ),
      )
      const bias = graph.addInitializer('b', Tensor.float32([2], [3, -2]))
      return [graph.insert({ op: 'Gemm', inputs: [input('x', [2, 4]), tiny, bias] }).output()]
    })
    const { notes } = await quantizeStatic(model, { ...samplesOf(2, 4), adjustForBias: false })
    expect(notes.map(({ code }) => code)).toContain('quantize/bias-clipped')
  })

  test.each([
    ['int4', 0.9],
    ['uint4', 0.9],
    ['int16', 0.02],
    ['uint16', 0.02],
  ] as const)('a weight of %s', async (type, tolerance) => {
    const model = dense()
    await check(model, samplesOf(1, 16), { weightType: type }, tolerance)
    const codes = [...model.graph.initializers].find(({ name }) => name === 'w_quantized')!
    expect(codes.tensor!.dtype).toBe(type)
  })

  test.each([
    [{ x: { min: 1 }, nope: {} }, /no tensor "nope"/],
    [{ x: { min: 1 }, w: { axis: 5 } }, /"w" has no axis 5/],
    [{ x: { axis: 0 } }, /"x" is no constant/],
    [{ x: { scale: 1 } }, /both scale and zeroPoint/],
    [{ x: { scale: 1, zeroPoint: 0, min: 2 } }, /min can't be followed/],
    [{ x: { typ: 'int8' } }, /unknown setting "typ"/],
    [{ x: { type: 'int7' } }, /"type" of "x" must be one of/],
    ['{', /no JSON/],
    [[], /no JSON object/],
  ])('%o is refused', async (overrides, message) => {
    await expect(overridden(overrides)).rejects.toThrow(message)
  })
})

describe('types of some activations, completed', () => {
  /** x -> Conv a -> Relu -> Conv b -> Add c (with a constant) -> out; the sum alone has 16 bits. */
  const chain = (): Model =>
    buildModel(21, (graph, input) => {
      const conv = (x: Value, name: string): Value =>
        graph.insert({ op: 'Conv', name, inputs: [x, weight(graph, `${name}.w`, 4, 4, 1, 1)] }).output()
      const a = graph.insert({ op: 'Sigmoid', inputs: [conv(input('x', [1, 4, 3, 3]), 'a')] }).output()
      const b = conv(a, 'b')
      b.name = 'b.out'
      const sum = graph.insert({ op: 'Add', name: 'c', inputs: [b, weight(graph, 'k', 4, 1, 1)] }).output()
      sum.name = 'sum'
      return [conv(sum, 'd')]
    })
  const complete = async (overrides: object, options: Partial<StaticOptions> = {}): Promise<Model> => {
    const model = chain()
    const tensorOverrides = jsonFile('overrides.json', overrides)
    const all = {
      tensorOverrides,
      completeOverrides: true,
      sparePairs: false,
      allOps: true,
      wideActivations: 'quantize',
    } as const
    await check(model, samplesOf(1, 4, 3, 3), { ...all, ...options }, 0.2)
    return model
  }
  const typeInto = (model: Model, name: string, index = 0): string => {
    const node = [...model.graph.nodes()].find((node) => node.name === name)!
    return node.input(index)!.producer!.input(0)!.dtype!
  }

  test('operators read the type that they give, constants too; what follows is converted back', async () => {
    const model = await complete({ sum: { type: 'uint16' } })
    expect([typeInto(model, 'a'), typeInto(model, 'b')]).toEqual(['uint8', 'uint8'])
    expect([typeInto(model, 'c', 0), typeInto(model, 'c', 1)]).toEqual(['uint16', 'uint16'])
    expect(typeInto(model, 'd')).toBe('uint8')
  })

  test('without completion only that activation has it', async () => {
    const model = await complete({ sum: { type: 'uint16' } }, { completeOverrides: false })
    expect([typeInto(model, 'c', 0), typeInto(model, 'd')]).toEqual(['uint8', 'uint16'])
  })

  test('what the user converts stays as it is said', async () => {
    const model = await complete({ sum: { type: 'uint16' }, 'b.out': { convert: { type: 'int16' } } })
    expect(typeInto(model, 'c', 0)).toBe('int16')
  })
})

describe('presets', () => {
  test.each(Object.entries(ACCELERATOR_PRESETS))('%s: loads and runs on the CPU too', async (_, preset) => {
    const { quantize: _quantize, ...options } = preset as Partial<StaticOptions>
    await check(convolution(), samplesOf(1, 3, 6, 6), options, 0.3)
    await check(dense(), samplesOf(1, 16), options, 0.1)
  })

  test('QNN in 16 bits', async () => {
    const { quantize: _quantize, ...options } = ACCELERATOR_PRESETS['qnn'] as Partial<StaticOptions>
    for (const opset of [17, 21])
      await check(convolution(opset), samplesOf(1, 3, 6, 6), { ...options, activationType: 'uint16' }, 0.3)
  })

  test('for TensorRT zero is zero, weights stay float, and every reader has its pair', async () => {
    const { quantize: _quantize, ...options } = ACCELERATOR_PRESETS['tensorrt'] as Partial<StaticOptions>
    const model = convolution()
    await quantizeStatic(model, { ...samplesOf(1, 3, 6, 6), ...options })
    for (const { name, tensor } of model.graph.initializers)
      if (name.endsWith('_zero_point')) expect(new Set(tensor!.toNumbers())).toEqual(new Set([0]))
    const quantized = [...model.graph.nodes()].filter(({ opType }) => opType === 'QuantizeLinear')
    expect(quantized.filter((node) => node.input(0)!.tensor).map((node) => node.input(0)!.name)).toEqual(['a.w', 'b.w'])
    for (const node of quantized) expect(node.output().users).toHaveLength(1)
  })

  test.each([
    [{}, /as many codes as cannot saturate anywhere \(on average \d+ of 127 steps\)/],
    [{ reduceRange: true }, /1 weight of int8 has 7 bits/],
    [{ reduceRange: false }, /all 8 bits, for ARM and CPUs with VNNI/],
  ])('the report says how int8 weights keep from saturating: %o', async (options, message) => {
    const { notes } = await quantizeStatic(dense(), { ...samplesOf(1, 16), ...options })
    expect(notes.find(({ code }) => code === 'quantize/saturation')!.message).toMatch(message)
    const unsigned = await quantizeStatic(dense(), { ...samplesOf(1, 16), weightType: 'uint8' })
    expect(unsigned.notes).toEqual([])
  })
})

describe('a second type after the first', () => {
  /** `x` goes into two products called `p` and `q`, and out. */
  const forked = (): Model =>
    buildModel(21, (graph, input) => {
      const x = graph.insert({ op: 'Tanh', name: 'root', inputs: [input('x', [2, 4])] }).output()
      const of = (name: string): Value =>
        graph.insert({ op: 'MatMul', name, inputs: [x, weight(graph, `w.${name}`, 4, 4)] }).output()
      x.name = 't'
      return [of('p'), of('q'), x]
    })
  const convert = async (settings: object, options: Partial<StaticOptions> = {}): Promise<Model> => {
    const model = forked()
    const overrides = { tensorOverrides: jsonFile('overrides.json', { t: { convert: settings } }), sparePairs: false }
    await check(model, samplesOf(2, 4), { ...overrides, ...options }, 0.1)
    return model
  }
  /** The types through which a node's first input comes, the last first. */
  const typesInto = (model: Model, name: string): string[] => {
    const types: string[] = []
    let value = [...model.graph.nodes()].find((node) => node.name === name)!.input(0)
    for (; value?.producer?.opType === 'DequantizeLinear'; value = value.producer.input(0)!.producer?.input(0))
      types.push(value.producer.input(0)!.dtype!)
    return types
  }

  test('for all readers', async () => {
    const model = await convert({ type: 'uint16' })
    expect(typesInto(model, 'p')).toEqual(['uint16', 'uint8'])
    expect(typesInto(model, 'q')).toEqual(['uint16', 'uint8'])
    expect(model.graph.outputs[2]!.producer!.input(0)!.dtype).toBe('uint16')
  })

  test('for one of them', async () => {
    const model = await convert({ type: 'int16', symmetric: true, readers: ['q'] })
    expect(typesInto(model, 'p')).toEqual(['uint8'])
    expect(typesInto(model, 'q')).toEqual(['int16', 'uint8'])
    expect(model.graph.outputs[2]!.producer!.input(0)!.dtype).toBe('uint8')
  })

  test.each([
    [{ type: 'uint16', readers: ['r'] }, {}, /"r" does not read "t"/],
    [{}, {}, /must have a type/],
    [{ type: 'uint16', axis: 1 }, {}, /unknown setting "axis"/],
    [{ type: 'uint16' }, { dedicatedPairs: true }, /pairs that readers share/],
  ])('%o with %o is refused', async (settings, options, message) => {
    await expect(convert(settings, options)).rejects.toThrow(message)
  })
})

describe('blocks', () => {
  const chain = (opset: number): Model =>
    buildModel(opset, (graph, input) => {
      const x = input('x', [3, 40])
      const one = graph.insert({ op: 'MatMul', inputs: [x, weight(graph, 'v', 40, 24)] }).output()
      const two = graph.insert({
        op: 'Gemm',
        inputs: [one, weight(graph, 'w', 8, 24), weight(graph, 'b', 8)],
        attributes: { transB: int(1) },
      })
      return [two.output()]
    })

  test.each([
    ['int8', undefined, 0.02],
    ['uint8', undefined, 0.02],
    ['uint8', true, 0.02],
    ['int4', undefined, 0.35],
    ['uint4', undefined, 0.35],
  ] as const)(
    '%s weights, symmetric %s: a scale for every 16 along what is summed up',
    async (weightType, weightSymmetric, tolerance) => {
      for (const opset of [17, 21]) {
        const model = chain(opset)
        const data = samplesOf(3, 40)
        const { x } = data
        const expected = Object.values(await runModel(model, { x }))[0]!
        const activationType = weightType.endsWith('4') ? 'uint8' : 'uint16'
        const options = { weightType, weightSymmetric, activationType, blockSize: 16, lossSamples: 2 } as const
        const result = await quantizeStatic(model, { ...data, ...options })
        expect(model.opset).toBe(21)
        const scales = Object.fromEntries(
          [...model.graph.initializers].flatMap(({ name, tensor }) =>
            /^[vw]_scale$/.test(name) ? [[name, tensor!.dims]] : [],
          ),
        )
        expect(scales).toEqual({ v_scale: [3, 24], w_scale: [8, 2] })
        const blocks = [...model.graph.nodes()].filter((node) => node.int('block_size') === 16)
        expect(blocks.map((node) => node.int('axis'))).toEqual([0, 1])
        const session = await createOrtService().open(copyOf(model), { graphOptimizationLevel: 'all' })
        const actual = Object.values(await session.run({ x }))[0]!
        await session.release()
        const { sqnr } = compare(expected.float32(), actual.float32())
        expect(10 ** (-sqnr / 20)).toBeLessThan(tolerance)
        const { loss } = result.data as { loss: LossReport }
        for (const { rounding } of loss.weights) expect(rounding).toBeGreaterThan(weightType.endsWith('4') ? 15 : 35)
      }
    },
  )

  test('where an operator stands against opset 21 weights have a scale per channel, said so', async () => {
    const model = buildModel(15, (graph, input) => {
      const product = graph.insert({ op: 'MatMul', inputs: [input('x', [1, 1, 4, 16]), weight(graph, 'w', 16, 4)] })
      const attributes = { output_height: int(1), output_width: int(1) }
      const boxes = graph.addInitializer('boxes', Tensor.float32([1, 4], [0, 0, 2, 2]))
      const batch = graph.addInitializer('batch', Tensor.int64([0]))
      return [graph.insert({ op: 'RoiAlign', inputs: [product.output(), boxes, batch], attributes }).output()]
    })
    const { notes } = await quantizeStatic(model, { ...samplesOf(1, 1, 4, 16), blockSize: 16 })
    expect(notes.map(({ code }) => code)).toContain('quantize/no-blocks')
    expect([model.opset, model.histogram()['QuantizeLinear']]).toEqual([15, 1])
  })
})

test.each([
  ['Sigmoid', 'nnapi', 'uint8', 1 / 256, 0],
  ['Sigmoid', 'qnn', 'uint16', 1 / 65536, 0],
  ['Sigmoid', 'qnn', 'int16', 1 / 32768, 0],
  ['Tanh', 'qnn', 'uint16', 1 / 32768, 32768],
  ['Tanh', 'qnn', 'int16', 1 / 32768, 0],
] as const)('what %s gives, as %s wants it in %s', async (op, fixedScales, activationType, scale, zeroPoint) => {
  const model = buildModel(17, (graph, input) => {
    const product = graph.insert({ op: 'MatMul', inputs: [input('x', [2, 4]), weight(graph, 'w', 4, 4)] }).output()
    return [graph.insert({ op, name: 'gate', inputs: [product] }).output()]
  })
  const options = { fixedScales, activationType, sparePairs: false, ops: ['MatMul', op] }
  await check(model, samplesOf(2, 4), options)
  const node = [...model.graph.nodes()].find(({ name }) => name === 'gate')!
  const [quantize] = node.output().users
  expect([quantize!.input(1)!.tensor!.scalar(), quantize!.input(2)!.tensor!.scalar()]).toEqual([scale, zeroPoint])
})

describe('ranges from a file', () => {
  test.each([
    { x: { min: -2, max: 2 } },
    { x: [-2, 2] },
    { ranges: { x: [-2, 2], unknown: [0, 1] } },
    { calibration_method: 'MinMax', data: { x: { CLS: 'TensorData', lowest: { data: -2 }, highest: { data: [2] } } } },
  ])('%o', async (content) => {
    const model = dense()
    await quantizeStatic(model, { ranges: jsonFile('ranges.json', content) })
    const scale = [...model.graph.initializers].find(({ name }) => name === 'x_scale')!
    expect(scale.tensor!.toNumbers()[0]).toBeCloseTo(4 / 255, 6)
  })

  test('what they are not', async () => {
    const quantize = (content: unknown): Promise<unknown> =>
      quantizeStatic(dense(), { ranges: jsonFile('ranges.json', content) })
    await expect(quantize({ x: [2, -2] })).rejects.toThrow(/"x" has no range/)
    await expect(quantize({ y: [2, 3] })).rejects.toThrow(/none of its tensors/)
  })
})

describe('options that contradict each other', () => {
  test.each([
    [{ calibration: undefined }, /needs calibration data/],
    [{ activationType: 'int8', weightType: 'uint8' }, /do not go with/],
    [{ restrictedAsymmetric: true, activationType: 'int8' }, /restrictedAsymmetric/],
    [{ quantFormat: 'qoperator', activationType: 'uint16' }, /8-bit activations only/],
    [{ quantFormat: 'qoperator', weightType: 'int4' }, /no int4 weights/],
    [{ quantFormat: 'qoperator' }, /webgpu has no kernels/, 'webgpu'],
    [{}, /TensorRT takes symmetric int8/, 'tensorrt'],
    [{ lossSamples: 2, quantFormat: 'qoperator' }, /lossSamples needs/],
    [{ blockSize: 32, quantFormat: 'qoperator' }, /blockSize is for pairs/],
    [{ blockSize: 48, weightType: 'int4' }, /no power of two/],
    [
      { quantFormat: 'qoperator', dedicatedPairs: true, pairOnWeights: true },
      /dedicatedPairs and pairOnWeights say how pairs/,
    ],
    [{ quantFormat: 'qoperator', quantizeBias: false }, /quantizeBias=false says how pairs/],
    [{ blockSize: 32, weightType: 'int16' }, /weights of 4 and 8 bits/],
    [{ blockSize: 32 }, /fails at weights of 8 bits/],
    [{ blockSize: 32, weightType: 'int4', pairOnWeights: true }, /neither with pairOnWeights/],
  ] as [Partial<StaticOptions>, RegExp, string | undefined][])('%o', (options, message, device) => {
    const all = { ...DEFAULTS, calibration: 'data.npz', ...options }
    expect(() => staticQuantization.check!(all, device ?? 'cpu')).toThrow(message)
  })
})

describe('what quantization costs', () => {
  test('by tensor, worst first; a removed Relu costs nothing', async () => {
    const model = convolution()
    const { data } = await quantizeStatic(model, { ...samplesOf(1, 3, 6, 6), lossSamples: 3 })
    const { loss } = data as { loss: LossReport }
    expect(loss.samples).toBe(3)
    expect(loss.weights.map(({ name }) => name).sort()).toEqual(['a.w', 'b.w'])
    expect(loss.activations).toHaveLength(4)
    const roundings = loss.activations.map(({ rounding }) => rounding!)
    expect(roundings).toEqual([...roundings].sort((a, b) => a - b))
    for (const { rounding, total } of loss.activations) {
      expect(rounding).toBeGreaterThan(30)
      expect(total).toBeGreaterThan(25)
    }
  })

  test('fewer bits cost more', async () => {
    const totalOf = async (activationType: 'uint8' | 'uint16'): Promise<number> => {
      const options = { ...samplesOf(1, 3, 6, 6), activationType, lossSamples: 2 }
      const { data } = await quantizeStatic(convolution(), options)
      return (data as { loss: LossReport }).loss.activations.find(({ name }) => name === 'x')!.rounding!
    }
    expect(await totalOf('uint16')).toBeGreaterThan((await totalOf('uint8')) + 30)
  })
})

test('any chain of products loads and keeps its signature', async () => {
  const layer = fc.record({
    size: fc.integer({ min: 1, max: 9 }),
    bias: fc.boolean(),
    relu: fc.boolean(),
    gemm: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(layer, { minLength: 1, maxLength: 4 }), fc.boolean(), async (layers, integers) => {
      const model = buildModel(17, (graph, input) => {
        let [at, width] = [input('x', ['n', 5]), 5]
        layers.forEach(({ size, bias, relu, gemm }, i) => {
          const matrix = weight(graph, `w${i}`, width, size)
          const extra = gemm && bias ? [weight(graph, `b${i}`, size)] : []
          at = graph.insert({ op: gemm ? 'Gemm' : 'MatMul', inputs: [at, matrix, ...extra] }).output()
          if (relu) at = graph.insert({ op: 'Relu', inputs: [at] }).output()
          width = size
        })
        return [at]
      })
      await createOrtService().inferTypes(model)
      const signature = signatureOf(model)
      const { calibration, x } = samplesOf(3, 5)
      await quantizeStatic(model, {
        calibration,
        quantFormat: integers ? 'qoperator' : 'qdq',
        allOps: true,
        sparePairs: false,
      })
      expect(signatureOf(model)).toBe(signature)
      await runModel(copyOf(model), { x })
    }),
    { numRuns: 15 },
  )
})
