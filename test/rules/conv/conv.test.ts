import { describe, expect, test } from 'vitest'
import type { Value } from '../../../src/graph/value.ts'
import { convActivation } from '../../../src/rules/conv/conv-activation.ts'
import { convAdd, convBatchNorm, convMul } from '../../../src/rules/conv/conv-arithmetic.ts'
import { padConv, padPool } from '../../../src/rules/conv/pad.ts'
import { draw, expectFusion, expectRefusal, type Sketch } from '../../support/rules.ts'

interface Convolved {
  name: string
  op: 'Conv' | 'ConvTranspose'
  x: number[]
  w: number[]
  group?: number
}
const CONVOLUTIONS: readonly Convolved[] = [
  { name: '1-d', op: 'Conv', x: [2, 3, 7], w: [4, 3, 3] },
  { name: '2-d', op: 'Conv', x: [1, 4, 5, 5], w: [6, 4, 3, 3] },
  { name: '2-d, depthwise', op: 'Conv', x: [1, 4, 5, 5], w: [4, 1, 3, 3], group: 4 },
  { name: '3-d', op: 'Conv', x: [1, 2, 4, 4, 4], w: [3, 2, 2, 2, 2] },
  { name: 'transposed', op: 'ConvTranspose', x: [1, 4, 5, 5], w: [4, 6, 3, 3] },
  { name: 'transposed, two groups', op: 'ConvTranspose', x: [1, 4, 5, 5], w: [4, 3, 3, 3], group: 2 },
]
const channelsOf = ({ op, w, group = 1 }: Convolved): number => (op === 'Conv' ? w[0]! : w[1]! * group)

const convolve = ({ op, input, weight }: Sketch, { op: name, x, w, group = 1 }: Convolved, bias = false): Value =>
  op[name](input('x', x), weight(w), bias ? weight([channelsOf({ name: '', op: name, x, w, group })]) : null, { group })

const perChannel = ({ weight }: Sketch, form: Convolved, around = 2): Value =>
  weight([channelsOf(form), ...form.x.slice(2).map(() => 1)], { around })

describe.each(CONVOLUTIONS)('$name', (form) => {
  test.each([true, false])('takes up a product, sum and difference (bias: %s)', async (bias) => {
    const model = await draw((s) => {
      const product = s.op.Mul(perChannel(s, form), convolve(s, form, bias))
      return s.op.Div(s.op.Sub(s.op.Add(product, perChannel(s, form)), perChannel(s, form)), 3)
    })
    await expectFusion(model, [convMul, convAdd], form.op, { tolerance: 2e-5 })
  })

  test.each([true, false])('takes up a batch norm (bias: %s)', async (bias) => {
    const channels = [channelsOf(form)]
    const model = await draw((s) => {
      const parameters = [s.weight(channels), s.weight(channels), s.weight(channels), s.weight(channels, { around: 2 })]
      return s.op.BatchNormalization(convolve(s, form, bias), ...parameters, { epsilon: 1e-3 })
    })
    await expectFusion(model, convBatchNorm, form.op, { tolerance: 2e-5 })
  })
})

describe('conv-mul, conv-add, conv-batch-norm: near misses', () => {
  const form = CONVOLUTIONS[1]!
  const times = (dims: number[]) => draw((s) => s.op.Mul(convolve(s, form), s.weight(dims)))
  test('other shapes', async () => {
    expectRefusal(await times([3, 1]), convMul, 'not one number per channel')
    expectRefusal(await times([1, 1, 1, 1, 1]), convMul, 'adds dimensions')
    expectRefusal(await times([3]), convMul, 'not one number per channel')
    const one = await draw((s) => s.op.Add(convolve(s, { ...form, w: [1, 4, 3, 3] }), s.weight([6, 1, 1])))
    expectRefusal(one, convAdd, 'not one number per channel')
  })
  test('weights that other operators read stay as they are', async () => {
    const model = await draw((s) => {
      const [x, w] = [s.input('x', [1, 8, 5, 5]), s.weight([8, 8, 3, 3])]
      return [s.op.Mul(s.op.Conv(x, w), 2), s.op.Conv(x, w)]
    })
    expectRefusal(model, convMul, 'is shared with another operator')
  })
  test('computed weights, results that are read elsewhere, and training', async () => {
    const computed = await draw((s) => s.op.Mul(s.op.Conv(s.input('x', [1, 1, 4, 4]), s.input('w', [1, 1, 2, 2])), 2))
    expectRefusal(computed, convMul, 'expected a constant (weight)')
    const read = await draw((s) => {
      const y = convolve(s, form)
      return [s.op.Add(y, 2), y]
    })
    expectRefusal(read, convAdd, 'is also an output of the graph')
    const training = await draw((s) => {
      const [y] = s.create({
        op: 'BatchNormalization',
        inputs: [convolve(s, form), ...Array.from({ length: 4 }, () => s.weight([6], { around: 2 }))],
        attributes: { training_mode: 1 },
        outputs: 3,
      })
      return y!
    })
    expectRefusal(training, convBatchNorm, 'normalizes in another way')
  })
})

describe('pad-conv', () => {
  const padded = (pads: number[], options: { value?: number; mode?: string; auto?: string; own?: number[] } = {}) =>
    draw(({ op, input, weight }) => {
      const { value, mode = 'constant', auto, own } = options
      const pad = op.Pad(input('x', [1, 2, 5, 6]), pads, value === undefined ? null : value, { mode })
      return op.Conv(pad, weight([3, 2, 3, 3]), { pads: own, auto_pad: auto })
    })
  test('adds to pads that are there', async () => {
    await expectFusion(await padded([0, 0, 1, 2, 0, 0, 3, 4], { value: 0 }), padConv, 'Conv')
    await expectFusion(await padded([0, 0, 1, 0, 0, 0, 0, 0], { own: [1, 1, 0, 2] }), padConv, 'Conv')
  })
  test('with axes', async () => {
    const model = await draw(
      ({ op, input, weight }) => op.Conv(op.Pad(input('x', [1, 2, 5, 6]), [2, 1], null, [-1]), weight([3, 2, 3, 3])),
      { opset: 18 },
    )
    await expectFusion(model, padConv, 'Conv')
    expect(model.graph.lastNode!.ints('pads')).toEqual([0, 2, 0, 1])
  })
  test('several convolutions of one Pad', async () => {
    const model = await draw(({ op, input, weight }) => {
      const pad = op.Pad(input('x', [1, 2, 5, 6]), [0, 0, 1, 1, 0, 0, 1, 1])
      return [op.Conv(pad, weight([3, 2, 3, 3])), op.Conv(pad, weight([1, 2, 1, 1]))]
    })
    await expectFusion(model, padConv, '2 Conv')
  })
  test('near misses', async () => {
    expectRefusal(await padded([0, 0, 1, 1, 0, 0, 1, 1], { value: 1 }), padConv, 'pads with 1')
    expectRefusal(await padded([0, 1, 1, 1, 0, -1, 1, 1]), padConv, 'cuts off')
    expectRefusal(await padded([0, 0, 1, 1, 0, 0, 1, 1], { mode: 'edge' }), padConv, 'does not pad with a constant')
    expectRefusal(await padded([0, 0, 1, 1, 0, 0, 1, 1], { auto: 'SAME_UPPER' }), padConv, 'pads automatically')
    const batch = await draw(({ op, input, weight }) =>
      op.Conv(op.Pad(input('x', [1, 2, 5, 6]), [1, 0, 0, 0, 0, 0, 0, 0]), weight([3, 2, 3, 3])),
    )
    expectRefusal(batch, padConv, 'pads batch or channels')
  })
})

describe('pad-pool', () => {
  const pool = (op: 'AveragePool' | 'MaxPool', value: number, attributes: Record<string, number | number[]> = {}) =>
    draw((s) =>
      s.op[op](s.op.Pad(s.input('x', [1, 2, 6, 6]), [0, 0, 1, 1, 0, 0, 1, 1], value), {
        kernel_shape: [3, 3],
        ...attributes,
      }),
    )
  test('an average counts the zeros', async () => {
    await expectFusion(await pool('AveragePool', 0), padPool, 'AveragePool')
    await expectFusion(
      await pool('AveragePool', 0, { pads: [1, 1, 1, 1], count_include_pad: 1 }),
      padPool,
      'AveragePool',
    )
  })
  test('a maximum of the lowest number', async () => {
    await expectFusion(await pool('MaxPool', -3.4028234663852886e38, { strides: [2, 2] }), padPool, 'MaxPool')
    await expectFusion(await pool('MaxPool', Number.NEGATIVE_INFINITY), padPool, 'MaxPool')
  })
  test('near misses', async () => {
    expectRefusal(await pool('MaxPool', 0), padPool, 'pads with 0')
    expectRefusal(
      await pool('AveragePool', 0, { pads: [1, 1, 1, 1] }),
      padPool,
      'counts the pads of Pad, but not its own',
    )
    expectRefusal(await pool('AveragePool', 0, { ceil_mode: 1 }), padPool, 'rounds its output size up')
    expectRefusal(await pool('AveragePool', 0, { kernel_shape: [1, 1] }), padPool, 'too small for pads')
  })
})

describe('conv-activation', () => {
  const activated = (activate: (s: Sketch, y: Value) => Value | Value[]) =>
    draw((s) => activate(s, convolve(s, CONVOLUTIONS[1]!, true)))
  test.each<[string, (s: Sketch, y: Value) => Value]>([
    ['Relu', ({ op }, y) => op.Relu(y)],
    ['Sigmoid', ({ op }, y) => op.Sigmoid(y)],
    ['LeakyRelu', ({ op }, y) => op.LeakyRelu(y, { alpha: 0.2 })],
    ['HardSigmoid', ({ op }, y) => op.HardSigmoid(y, { alpha: 0.25 })],
    ['Clip', ({ op }, y) => op.Clip(y, 0, 1)],
  ])('%s', async (_, activate) => {
    await expectFusion(await activated(activate), convActivation, 'com.microsoft:FusedConv')
  })
  test('near misses', async () => {
    expectRefusal(
      await activated(({ op, input }, y) => op.Clip(y, input('low', []))),
      convActivation,
      'has bounds that are not constant',
    )
    expectRefusal(await activated(({ op }, y) => [op.Relu(y), y]), convActivation, 'is also an output of the graph')
    expectRefusal(await activated(({ op }, y) => op.Relu(op.Neg(y))), convActivation, 'expected Conv, found Neg')
  })
})
