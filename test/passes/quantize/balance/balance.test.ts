import { describe, expect, test } from 'vitest'
import type { Model } from '../../../../src/graph/model.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import type { Value } from '../../../../src/graph/value.ts'
import { compare } from '../../../../src/kernels/index.ts'
import { equalize, neighboursOf } from '../../../../src/passes/quantize/balance/equalize.ts'
import { balancing } from '../../../../src/passes/quantize/balance/products.ts'
import { measureChannels } from '../../../../src/passes/quantize/calibrate/channels.ts'
import { staticQuantization } from '../../../../src/passes/quantize/static/index.ts'
import type { StaticOptions } from '../../../../src/passes/quantize/static/settings.ts'
import { copyOf, runModel } from '../../../support/models.ts'
import { draw, noise, type Sketch } from '../../../support/rules.ts'
import { DEFAULTS, jsonFile, quantizeStatic } from '../../../support/static.ts'

/** A weight whose channels along `axis` differ by up to a factor of 100. */
const uneven = ({ constant }: Sketch, dims: readonly number[], axis: number, seed: number, sign = 1): Value => {
  const inner = dims.slice(axis + 1).reduce((product, dim) => product * dim, 1)
  const count = dims.reduce((product, dim) => product * dim, 1)
  const values = noise(count, seed).map(
    (value, i) => value * 100 ** ((sign * ((Math.floor(i / inner) % dims[axis]!) % 8)) / 7),
  )
  return constant(Tensor.from('float32', dims, values), 'weight')
}

const convolutions = (between: (sketch: Sketch, x: Value) => Value = ({ op }, x) => op.Relu(x)): Promise<Model> =>
  draw((sketch) => {
    const { input, op, weight } = sketch
    const first = op.Conv(input('x', ['n', 3, 8, 8]), uneven(sketch, [16, 3, 3, 3], 0, 1), weight([16], { scale: 0.1 }))
    return op.Conv(between(sketch, first), uneven(sketch, [8, 16, 3, 3], 1, 2, -1), weight([8]))
  })

const images = (seed: number, count = 4): Tensor => Tensor.float32([count, 3, 8, 8], noise(count * 192, seed))
const calibrationOf = (samples: readonly Tensor[]): string =>
  jsonFile('data.jsonl', samples.map((x) => JSON.stringify({ x: { dims: x.dims, data: x.toNumbers() } })).join('\n'))
const dataOf = (samples: readonly Tensor[]) => ({
  async *open() {
    for (const x of samples) yield { x }
  },
})

async function outputOf(model: Model, x: Tensor): Promise<Float32Array> {
  const [output] = Object.values(await runModel(copyOf(model), { x }))
  return output!.float32()
}

async function sqnrOf(
  make: () => Promise<Model>,
  samples: readonly Tensor[],
  x: Tensor,
  options: Partial<StaticOptions>,
): Promise<number> {
  const model = await make()
  const expected = await outputOf(model, x)
  await quantizeStatic(model, { calibration: calibrationOf(samples), ...options })
  return compare(expected, await outputOf(model, x)).sqnr
}

async function equalizeAll(model: Model, samples: readonly Tensor[]): Promise<number> {
  const pairs = neighboursOf(model.graph.nodes())
  const requests = pairs.map(({ second }) => ({ value: second.node.input(0)!, axis: second.axis }))
  const seen = await measureChannels(model, requests, dataOf(samples), { threads: 1 })
  return pairs.filter((pair) => equalize(pair, seen.get(pair.second.node.input(0)!))).length
}

describe('equalization', () => {
  const perceptron = (): Promise<Model> =>
    draw((sketch) => {
      const { input, op, weight } = sketch
      let x = op.Relu(op.Gemm(input('x', ['n', 12]), uneven(sketch, [16, 12], 0, 3), weight([16]), { transB: 1 }))
      x = op.Relu(op.Add(op.MatMul(x, uneven(sketch, [16, 24], 1, 4)), weight([24])))
      return op.MatMul(x, weight([24, 5]))
    })
  const depthwise = (): Promise<Model> =>
    draw((sketch) => {
      const { input, op, weight } = sketch
      let x = op.Relu(op.Conv(input('x', ['n', 3, 8, 8]), uneven(sketch, [16, 3, 1, 1], 0, 1)))
      x = op.Relu(op.Conv(x, uneven(sketch, [16, 1, 3, 3], 0, 2), weight([16]), { group: 16 }))
      return op.Conv(x, weight([8, 16, 1, 1]))
    })

  test.each<[string, () => Promise<Model>, number, Tensor]>([
    ['convolutions', convolutions, 1, images(9)],
    [
      'through a pool',
      () => convolutions(({ op }, x) => op.MaxPool(op.Relu(x), { kernel_shape: [2, 2] })),
      1,
      images(9),
    ],
    ['perceptrons', perceptron, 2, Tensor.float32([8, 12], noise(96, 9))],
    ['a filter per channel', depthwise, 2, images(9)],
  ])('keeps what the float model computes: %s', async (_, make, pairs, x) => {
    const model = await make()
    const expected = await outputOf(model, x)
    expect(await equalizeAll(model, [x])).toBe(pairs)
    expect(compare(expected, await outputOf(model, x)).sqnr).toBeGreaterThan(110)
    // In a chain the next product changes what the one before was balanced with.
    if (pairs === 1) expect(await equalizeAll(model, [x])).toBe(0)
  })

  test.each<[string, (sketch: Sketch, x: Value) => Value]>([
    ['a function that scales do not pass through', ({ op }, x) => op.Sigmoid(x)],
    [
      'a limit',
      ({ op, constant }, x) => op.Clip(x, constant(Tensor.float32([], [0])), constant(Tensor.float32([], [6]))),
    ],
    [
      'a second reader',
      ({ op, graph }, x) => {
        graph.addOutput(op.Tanh(x))
        return op.Relu(x)
      },
    ],
  ])('passes over %s', async (_, between) => {
    expect(neighboursOf((await convolutions(between)).graph.nodes())).toEqual([])
  })

  test('at least 6 dB with one scale per tensor', async () => {
    const samples = [images(1), images(2)]
    const plain = await sqnrOf(convolutions, samples, images(50), { perChannel: false })
    expect(await sqnrOf(convolutions, samples, images(50), { perChannel: false, equalize: true })).toBeGreaterThan(
      plain + 6,
    )
  })

  test('factors: both sides differ alike between channels; dead channels are left', () => {
    const factors = balancing([8, 2, 0], [2, 8, 1], 0.5)
    expect([8 / factors[0]!, 2 / factors[1]!]).toEqual(
      [2 * factors[0]!, 8 * factors[1]!].map((x) => expect.closeTo(x, 5)),
    )
    expect(factors[2]).toBe(1)
  })
})

describe('bias correction', () => {
  /** Inputs whose channels are far from zero on average. */
  const rows = (seed: number): Tensor =>
    Tensor.float32(
      [64, 24],
      noise(64 * 24, seed).map((value, i) => value + 3 * Math.sin(i % 24)),
    )

  test.each<[string, (sketch: Sketch, x: Value) => Value]>([
    ['Gemm', ({ op, weight }, x) => op.Gemm(x, weight([24, 8]), weight([8]), { alpha: 0.5, beta: 2 })],
    ['MatMul and Add', ({ op, weight }, x) => op.Add(op.MatMul(x, weight([24, 8])), weight([8]))],
  ])('takes the mean error of 4-bit weights to a third and less: %s', async (_, body) => {
    const meanError = async (biasCorrection: boolean): Promise<number> => {
      const model = await draw((sketch) => body(sketch, sketch.input('x', ['n', 24])))
      const x = rows(70)
      const expected = await outputOf(model, x)
      await quantizeStatic(model, {
        calibration: calibrationOf([rows(1), rows(2)]),
        weightType: 'int4',
        biasCorrection,
      })
      const found = await outputOf(model, x)
      const means = new Float64Array(8)
      for (const [i, value] of found.entries()) means[i % 8]! += (value - expected[i]!) / 64
      return Math.hypot(...means)
    }
    expect(await meanError(true)).toBeLessThan((await meanError(false)) / 3)
  })

  test('convolutions too, in 8 bits', async () => {
    const bright = (seed: number): Tensor =>
      Tensor.float32(
        [4, 3, 8, 8],
        noise(768, seed).map((value) => 2 + value),
      )
    const options = { perChannel: false } as const
    const plain = await sqnrOf(convolutions, [bright(1)], bright(9), options)
    expect(await sqnrOf(convolutions, [bright(1)], bright(9), { ...options, biasCorrection: true })).toBeGreaterThan(
      plain,
    )
  })
})

describe('SmoothQuant', () => {
  test('on data, at least 6 dB where channels of a norm reach unequally far', async () => {
    const rows = (seed: number): Tensor => Tensor.float32([32, 16], noise(512, seed))
    const make = (): Promise<Model> =>
      draw(({ input, op, weight, constant }) => {
        const gamma = constant(
          Tensor.from(
            'float32',
            [16],
            noise(16, 8).map((value, i) => (i === 3 ? 40 : 1) * (1 + value / 4)),
          ),
        )
        // The channel is narrow for most rows, and meets small weights.
        const small = noise(16 * 8, 4).map((value, i) => (Math.floor(i / 8) === 3 ? value / 40 : value))
        const norm = op.LayerNormalization(input('x', ['n', 16]), gamma, weight([16], { scale: 0.1 }))
        return op.MatMul(norm, constant(Tensor.from('float32', [16, 8], small), 'weight'))
      })
    const samples = [rows(1), rows(2), rows(3)]
    const plain = await sqnrOf(make, samples, rows(60), { smoothNorms: false })
    expect(await sqnrOf(make, samples, rows(60), { smoothAlpha: 0.6 })).toBeGreaterThan(plain + 6)
  })
})

test.each<[Partial<StaticOptions>, RegExp]>([
  [{ ranges: 'r.json', equalize: true, biasCorrection: true }, /equalize and biasCorrection need calibration data/],
  [{ ranges: 'r.json', smoothAlpha: 0.5 }, /smoothAlpha need calibration data/],
  [{ calibration: 'a.npz', smoothAlpha: 0.5, smoothNorms: false }, /contradict each other/],
])('options that cannot be followed: %j', (options, message) => {
  expect(() => staticQuantization.check!({ ...DEFAULTS, ...options } as StaticOptions, 'cpu')).toThrow(message)
})
