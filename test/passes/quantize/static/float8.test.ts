import { describe, expect, test } from 'vitest'
import { float, string } from '../../../../src/graph/attributes.ts'
import type { Model } from '../../../../src/graph/model.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import { compare } from '../../../../src/kernels/index.ts'
import { createOrtService } from '../../../../src/ort/service.ts'
import {
  float8Codes,
  float8Scale,
  fromFloat8,
  standardDeviationOf,
  toFloat8,
} from '../../../../src/passes/quantize/static/float8.ts'
import { staticQuantization } from '../../../../src/passes/quantize/static/index.ts'
import type { LossReport } from '../../../../src/passes/quantize/static/loss.ts'
import type { StaticOptions } from '../../../../src/passes/quantize/static/settings.ts'
import { buildModel, copyOf, runModel, signatureOf } from '../../../support/models.ts'
import { DEFAULTS, quantizeStatic, randomTensor, samplesOf, weight } from '../../../support/static.ts'

const CODES = Array.from({ length: 256 }, (_, code) => code).filter((code) => (code & 0x7f) !== 0x7f)

describe('the type', () => {
  test('every code is the code of its value', () => {
    for (const code of CODES) expect(toFloat8(fromFloat8(code))).toBe(code)
    expect(fromFloat8(toFloat8(Number.NaN))).toBeNaN()
  })

  test('values between two codes: the nearer, the even one half-way; beyond the largest, the largest', () => {
    const positive = CODES.filter((code) => code < 0x80)
    for (const [i, code] of positive.slice(0, -1).entries()) {
      const [low, high] = [fromFloat8(code), fromFloat8(positive[i + 1]!)]
      expect(toFloat8(low + (high - low) * 0.49)).toBe(code)
      expect(toFloat8(low + (high - low) * 0.51)).toBe(code + 1)
      expect(toFloat8((low + high) / 2)).toBe(code % 2 === 0 ? code : code + 1)
    }
    expect(fromFloat8(toFloat8(1e9))).toBe(448)
    expect(fromFloat8(toFloat8(-1e9))).toBe(-448)
  })

  test('codes are those of QuantizeLinear', async () => {
    const values = new Float32Array(2000).map((_, i) => (i - 1000) ** 3 / 1e6)
    const model = buildModel(19, (graph, input) => {
      const x = input('x', [2000])
      const scale = graph.addInitializer('s', Tensor.float32([], [0.37]))
      const zero = graph.addInitializer('z', Tensor.of('float8e4m3fn', [], new Uint8Array(1)))
      const codes = graph.insert({ op: 'QuantizeLinear', inputs: [x, scale, zero] }).output()
      return [graph.insert({ op: 'DequantizeLinear', inputs: [codes, scale, zero] }).output()]
    })
    const [found] = Object.values(await runModel(model, { x: Tensor.float32([2000], values) }))
    const scale = Math.fround(0.37)
    expect([...float8Codes(values, scale)].map((code) => Math.fround(fromFloat8(code) * scale))).toEqual([
      ...found!.float32(),
    ])
  })

  test('the scale is the spread in units of that of the type', () => {
    // numpy.std of the 254 finite values of float8_e4m3fn.
    expect(1 / float8Scale(1)).toBeCloseTo(100.057, 2)
    expect(float8Scale(0)).toBe(1)
    expect(standardDeviationOf([1, 3])).toBe(1)
  })
})

const convolution = (opset: number): Model =>
  buildModel(opset, (graph, input) => {
    const conv = graph.insert({
      op: 'Conv',
      inputs: [input('x', [1, 3, 6, 6]), weight(graph, 'w', 8, 3, 3, 3), weight(graph, 'b', 8)],
    })
    const act = graph.insert({ op: 'LeakyRelu', inputs: [conv.output()], attributes: { alpha: float(0.2) } })
    const pool = graph.insert({ op: 'GlobalAveragePool', inputs: [act.output()] })
    const flat = graph.insert({ op: 'Flatten', inputs: [pool.output()] })
    return [
      graph.insert({ op: 'Gemm', inputs: [flat.output(), weight(graph, 'v', 8, 4), weight(graph, 'c', 4)] }).output(),
    ]
  })

describe('models', () => {
  test.each([
    [17, {}],
    [19, {}],
    [21, { allOps: true, sparePairs: false }],
  ] as [number, Partial<StaticOptions>][])('of opset %i: %o', async (opset, options) => {
    const model = convolution(opset)
    const { calibration, x } = samplesOf(1, 3, 6, 6)
    const expected = Object.values(await runModel(model, { x }))[0]!.float32()
    await createOrtService().inferTypes(model)
    const signature = signatureOf(model)
    const { data } = await quantizeStatic(model, {
      calibration,
      activationType: 'float8e4m3fn',
      lossSamples: 2,
      ...options,
    })
    expect(signatureOf(model)).toBe(signature)
    expect(model.opset).toBe(Math.max(opset, 19))
    const types = new Map([...model.graph.initializers].map(({ name, tensor }) => [name, tensor!.dtype]))
    expect([types.get('w_quantized'), types.get('v_quantized')]).toEqual(['float8e4m3fn', 'float8e4m3fn'])
    // Biases stay float.
    expect([types.get('b'), types.get('c')]).toEqual(['float32', 'float32'])
    // On the CPU ONNX Runtime reads such pairs, as long as it does not look for integer operators.
    const session = await createOrtService().open(copyOf(model), { graphOptimizationLevel: 'basic' })
    const actual = Object.values(await session.run({ x }))[0]!.float32()
    await session.release()
    expect(compare(expected, actual).sqnr).toBeGreaterThan(15)
    const { loss } = data as { loss: LossReport }
    // What moves codes loses nothing.
    for (const { rounding } of [...loss.weights, ...loss.activations]) expect(rounding ?? 99).toBeGreaterThan(22)
  })

  test('where an operator stands against opset 19 the model stays as it is', async () => {
    const model = buildModel(12, (graph, input) => {
      const attributes = { coordinate_transformation_mode: string('tf_half_pixel_for_nn') }
      const inputs = [input('x', [2, 3, 4]), null, graph.addInitializer('scales', Tensor.float32([3], [1, 1, 1]))]
      const same = graph.insert({ op: 'Resize', inputs, attributes }).output()
      return [graph.insert({ op: 'MatMul', inputs: [same, weight(graph, 'w', 4, 4)] }).output()]
    })
    const { changes, notes } = await quantizeStatic(model, { ...samplesOf(2, 3, 4), activationType: 'float8e4m3fn' })
    expect([changes, model.opset, notes[0]!.code]).toEqual([0, 12, 'quantize/opset-too-old'])
  })

  test.each([
    [{ weightType: 'int8' }, 'cuda', /float8 is for pairs/],
    [{ reduceRange: true }, 'tensorrt', /float8 is for pairs/],
    [{ quantFormat: 'qoperator' }, 'cpu', /float8 is for pairs/],
    [{ ranges: 'a.json' }, 'cuda', /needs calibration data/],
    [{}, 'cpu', /cpu has no operators for float8/],
    [{}, 'webgpu', /webgpu has no operators for float8/],
  ] as [Partial<StaticOptions>, string, RegExp][])('%o on %s is refused', (options, device, message) => {
    const all = { ...DEFAULTS, calibration: 'data.npz', activationType: 'float8e4m3fn', ...options } as StaticOptions
    expect(() => staticQuantization.check!(all, device)).toThrow(message)
  })

  test('random weights have the scale that the reference tool gives them', () => {
    const values = randomTensor(64, 64).float32()
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length
    expect(float8Scale(standardDeviationOf(values))).toBeCloseTo(Math.sqrt(squares) / 100.057, 6)
  })
})
