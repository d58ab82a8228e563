import { describe, expect, test } from 'vitest'
import type { Model } from '../../../src/graph/model.ts'
import type { Value } from '../../../src/graph/value.ts'
import { layerNorm } from '../../../src/rules/normalizations/layer-norm.ts'
import { layerNormChannels } from '../../../src/rules/normalizations/layer-norm-channels.ts'
import { layerNormTf } from '../../../src/rules/normalizations/layer-norm-tf.ts'
import { rmsNorm } from '../../../src/rules/normalizations/rms-norm.ts'
import { skipLayerNorm, skipLayerNormBias, skipRmsNorm } from '../../../src/rules/normalizations/skip.ts'
import { draw, expectFusion, expectRefusal, type Sketch } from '../../support/rules.ts'

interface Form {
  axes?: number[]
  keepdims?: number
  square?: 'pow' | 'product'
  inverse?: boolean
  twice?: boolean
  gamma?: number[]
  beta?: number[]
  epsilon?: number
}

/** A layer norm in elementary operators. */
function torchNorm({ op, weight }: Sketch, x: Value, form: Form = {}): Value {
  const { axes = [-1], keepdims = 1, square = 'pow', inverse, twice, gamma = [8], beta = [8], epsilon = 1e-5 } = form
  const mean = op.ReduceMean(x, { axes, keepdims })
  const difference = op.Sub(x, mean)
  const other = twice ? op.Sub(x, mean) : difference
  const squared = square === 'pow' ? op.Pow(difference, 2) : op.Mul(difference, difference)
  const deviation = op.Sqrt(op.Add(op.ReduceMean(squared, { axes, keepdims }), epsilon))
  const normal = inverse ? op.Mul(other, op.Reciprocal(deviation)) : op.Div(other, deviation)
  return op.Add(op.Mul(normal, weight(gamma)), weight(beta))
}

describe('layer-norm', () => {
  test.each<[string, Form, number]>([
    ['as PyTorch writes it', {}, -1],
    ['with the square as a product', { square: 'product' }, -1],
    ['with the difference computed twice', { twice: true }, -1],
    ['with a reciprocal', { inverse: true }, -1],
    ['with gamma of higher rank', { gamma: [1, 1, 8], beta: [1, 8] }, -1],
    ['over two axes', { axes: [-2, -1], gamma: [5, 8], beta: [5, 8] }, -2],
    ['with axes counted from the front', { axes: [2] }, -1],
    ['with another epsilon', { epsilon: 1e-3 }, -1],
  ])('%s', async (_, form, axis) => {
    const model = await draw((s) => torchNorm(s, s.input('x', ['B', 5, 8]), form))
    await expectFusion(model, layerNorm, 'LayerNormalization', { tolerance: 1e-5 })
    const node = model.graph.lastNode!
    expect(node.int('axis')).toBe(axis)
    expect(node.float('epsilon')).toBeCloseTo(form.epsilon ?? 1e-5, 8)
    expect([node.input(1)!.rank, node.input(2)!.rank]).toEqual([-axis, -axis])
  })

  test('two norms of one input share all but their ends', async () => {
    const model = await draw(({ op, input, weight }) => {
      const x = input('x', [2, 8])
      const d = op.Sub(x, op.ReduceMean(x, { axes: [-1] }))
      const normal = op.Div(d, op.Sqrt(op.Add(op.ReduceMean(op.Mul(d, d), { axes: [-1] }), 1e-5)))
      const end = (seed: number) => op.Add(op.Mul(normal, weight([8], { around: seed })), weight([8]))
      return [end(1), end(2)]
    })
    await expectFusion(model, layerNorm, '2 LayerNormalization')
  })

  test('half precision that computes the variance in float32', async () => {
    const model = await draw(({ op, input, weight }) => {
      const x = input('x', [2, 8], 'float16')
      const d = op.Sub(x, op.ReduceMean(x, { axes: [-1] }))
      const wide = op.Cast(d, { to: 1 })
      const deviation = op.Sqrt(op.Add(op.ReduceMean(op.Pow(wide, 2), { axes: [-1] }), 1e-5))
      const normal = op.Cast(op.Div(wide, deviation), { to: 10 })
      return op.Add(op.Mul(normal, weight([8], { dtype: 'float16' })), weight([8], { dtype: 'float16' }))
    })
    await expectFusion(model, layerNorm, 'LayerNormalization', { tolerance: 4e-3 })
  })

  test('near misses', async () => {
    const norm = (form: Form, dims: (number | string)[] = [2, 5, 8]) =>
      draw((s) => torchNorm(s, s.input('x', dims), form))
    expectRefusal(
      await norm({ axes: [1], gamma: [5, 1], beta: [5, 1] }),
      layerNorm,
      'reduces the axes [1], not the last',
    )
    expectRefusal(await norm({ axes: [0, 1, 2], keepdims: 0 }), layerNorm, 'drops the axis that it reduces')
    expectRefusal(
      await norm({ gamma: [5, 1] }),
      layerNorm,
      'has the shape [5,1], not one number per normalized element',
    )
    expectRefusal(await norm({ beta: [2, 5, 8] }), layerNorm, 'has the shape [2,5,8], not one number')
    expectRefusal(await norm({ gamma: [1] }), layerNorm, 'has the shape [1], but the normalized axes have [8]')
    const cubed = await draw(({ op, input, weight }) => {
      const x = input('x', [2, 8])
      const d = op.Sub(x, op.ReduceMean(x, { axes: [-1] }))
      const deviation = op.Sqrt(op.Add(op.ReduceMean(op.Pow(d, 4), { axes: [-1] }), 1e-5))
      return op.Add(op.Mul(op.Div(d, deviation), weight([8])), weight([8]))
    })
    expectRefusal(cubed, layerNorm, 'expected the constant 2')
  })
})

describe('layer-norm-channels', () => {
  const image: (number | string)[] = ['B', 5, 'H', 4]
  const norm = (form: Form, dims = image): Promise<Model> => draw((s) => torchNorm(s, s.input('x', dims), form))
  const over: Form = { axes: [1], gamma: [5, 1, 1], beta: [5, 1, 1] }

  test('over the channels of images, each with a scale and a shift of its own', async () => {
    await expectFusion(await norm(over), layerNormChannels, 'LayerNormalization, 2 Transpose')
    await expectFusion(
      await norm({ axes: [-3], gamma: [1, 5, 1, 1], beta: [5, 1, 1] }),
      layerNormChannels,
      'LayerNormalization, 2 Transpose',
    )
  })

  test('near misses', async () => {
    expectRefusal(await norm({ ...over, axes: [2] }), layerNormChannels, 'is not over the channels alone')
    expectRefusal(await norm({ ...over, axes: [1, 2] }), layerNormChannels, 'is not over the channels alone')
    expectRefusal(await norm({ ...over, gamma: [4] }), layerNormChannels, 'is not one number for each channel')
    expectRefusal(await norm({ ...over, beta: [1, 1, 1] }), layerNormChannels, 'is not one number for each channel')
    expectRefusal(await norm({ axes: [1], gamma: [5, 1], beta: [5, 1] }, ['B', 5, 4]), layerNormChannels, 'is no image')
  })
})

describe('layer-norm-tf', () => {
  const tfNorm = (axes: number[], gamma: number[], other = false) =>
    draw(({ op, input, weight }) => {
      const x = input('x', ['B', 5, 8])
      const mean = op.ReduceMean(x, { axes })
      const d = op.Sub(x, mean)
      const variance = op.ReduceMean(op.Mul(d, d), { axes })
      const scale = op.Mul(op.Reciprocal(op.Sqrt(op.Add(variance, 1e-12))), weight(gamma))
      return op.Add(op.Mul(x, scale), op.Sub(weight([8]), op.Mul(other ? x : mean, scale)))
    })
  test('as TensorFlow writes it', async () => {
    await expectFusion(await tfNorm([2], [8]), layerNormTf, 'LayerNormalization', { tolerance: 1e-5 })
  })
  test('near misses', async () => {
    expectRefusal(await tfNorm([1], [8]), layerNormTf, 'reduces the axes [1], not the last')
    expectRefusal(await tfNorm([2], [5, 1]), layerNormTf, 'not one number per normalized element')
    expectRefusal(await tfNorm([2], [8], true), layerNormTf, 'is not the same value')
  })
})

/** An RMS norm in elementary operators. */
function rms(
  { op, weight }: Sketch,
  x: Value,
  form: 'quotient' | 'reciprocal' | 'one over' | 'product' = 'reciprocal',
  axes = [-1],
  gamma = [8],
): Value {
  const squared = form === 'product' ? op.Mul(x, x) : op.Pow(x, 2)
  const root = op.Sqrt(op.Add(op.ReduceMean(squared, { axes }), 1e-6))
  const normal =
    form === 'quotient'
      ? op.Div(x, root)
      : op.Mul(x, form === 'one over' ? op.Div(weight([], { around: 1, scale: 0 }), root) : op.Reciprocal(root))
  return op.Mul(normal, weight(gamma))
}

describe('rms-norm', () => {
  test.each(['quotient', 'reciprocal', 'one over', 'product'] as const)('with %s', async (form) => {
    const model = await draw((s) => rms(s, s.input('x', ['B', 5, 8]), form))
    await expectFusion(model, rmsNorm, 'SimplifiedLayerNormalization', {
      allows: (op, opset) => op !== 'RMSNormalization' || opset >= 23,
    })
  })
  test('the standard operator where the model has it', async () => {
    const model = await draw(
      ({ op, input, weight }) => {
        const x = input('x', ['B', 8])
        const root = op.Sqrt(op.Add(op.ReduceMean(op.Pow(x, 2), [-1]), 1e-6))
        return op.Mul(op.Div(x, root), weight([8]))
      },
      { opset: 23 },
    )
    await expectFusion(model, rmsNorm, 'RMSNormalization')
  })
  test('half precision around float32', async () => {
    const model = await draw(({ op, input, weight }) => {
      const x = op.Cast(input('x', ['B', 8], 'float16'), { to: 1 })
      const root = op.Sqrt(op.Add(op.ReduceMean(op.Pow(x, 2), { axes: [-1] }), 1e-6))
      return op.Mul(op.Cast(op.Div(x, root), { to: 10 }), weight([8], { dtype: 'float16' }))
    })
    const allows = (name: string) => name !== 'RMSNormalization'
    await expectFusion(model, rmsNorm, 'SimplifiedLayerNormalization', { tolerance: 4e-3, allows })
  })
  test('near misses', async () => {
    const norm = (axes: number[], gamma: number[]) =>
      draw((s) => rms(s, s.input('x', [2, 5, 8]), 'quotient', axes, gamma))
    expectRefusal(await norm([1], [8]), rmsNorm, 'reduces the axes [1], not the last')
    expectRefusal(await norm([-1], [5, 1]), rmsNorm, 'not one number per normalized element')
    const other = await draw(({ op, input, weight }) => {
      const root = op.Sqrt(op.Add(op.ReduceMean(op.Pow(input('x', [2, 8]), 2), { axes: [-1] }), 1e-6))
      return op.Mul(op.Div(input('y', [2, 8]), root), weight([8]))
    })
    expectRefusal(other, rmsNorm, 'is not the same value')
  })
})

describe('skip-layer-norm', () => {
  const skip = (
    a: (number | string)[],
    b: (number | string)[],
    options: { gamma?: number[]; axis?: number; read?: boolean } = {},
  ) =>
    draw(({ op, input, weight }) => {
      const { gamma = [8], axis = -1, read = false } = options
      const sum = op.Add(input('a', a), input('b', b))
      const y = op.LayerNormalization(sum, weight(gamma), weight(gamma), { axis, epsilon: 1e-12 })
      return read ? [y, op.Neg(sum)] : y
    })
  const fused = 'com.microsoft:SkipLayerNormalization'
  test('of two values of one shape', async () => {
    const model = await skip(['B', 'S', 8], ['B', 'S', 8])
    await expectFusion(model, skipLayerNorm, fused)
    expect(model.graph.firstNode!.float('epsilon')).toBeCloseTo(1e-12, 15)
  })
  test('a skip without the batch, on either side', async () => {
    for (const b of [
      [1, 'S', 8],
      ['S', 8],
    ]) {
      await expectFusion(await skip(['B', 'S', 8], b), skipLayerNorm, fused)
      await expectFusion(await skip(b, ['B', 'S', 8]), skipLayerNorm, fused)
    }
  })
  test('the sum is an output where it is read', async () => {
    await expectFusion(await skip(['B', 'S', 8], ['B', 'S', 8], { read: true }), skipLayerNorm, `Neg, ${fused}`)
  })
  test('near misses', async () => {
    expectRefusal(await skip(['B', 'S', 8], ['B', 1, 8]), skipLayerNorm, 'are not known to have one shape')
    expectRefusal(await skip(['B', 'S', 8], ['C', 'S', 8]), skipLayerNorm, 'are not known to have one shape')
    expectRefusal(await skip([2, 3, 4, 8], [2, 3, 4, 8]), skipLayerNorm, 'are not known to have one shape')
    expectRefusal(await skip([2, 3, 8], [2, 3, 8], { gamma: [3, 8], axis: 1 }), skipLayerNorm, 'has the axis 1')
    const constant = await draw(({ op, input, weight }) =>
      op.LayerNormalization(op.Add(input('x', [2, 3, 8]), weight([8])), weight([8]), weight([8])),
    )
    expectRefusal(constant, skipLayerNorm, 'are not known to have one shape')
  })
})

describe('skip-rms-norm', () => {
  const skip = (b: (number | string)[], axis: number, read: boolean) =>
    draw(({ op, input, weight }) => {
      const sum = op.Add(input('a', ['B', 'S', 8]), input('b', b))
      const y = op.SimplifiedLayerNormalization(sum, weight([8]), { axis, epsilon: 1e-6 })
      return read ? [y, op.Neg(sum)] : y
    })
  test('with and without the sum', async () => {
    const fused = 'com.microsoft:SkipSimplifiedLayerNormalization'
    await expectFusion(await skip(['B', 'S', 8], -1, false), skipRmsNorm, fused)
    await expectFusion(await skip(['B', 'S', 8], 2, true), skipRmsNorm, `Neg, ${fused}`)
  })
  test('near misses', async () => {
    expectRefusal(await skip(['C', 'S', 8], -1, false), skipRmsNorm, 'are not known to have one shape')
    expectRefusal(await skip(['B', 'T', 8], -1, false), skipRmsNorm, 'are not known to have one shape')
    expectRefusal(await skip(['B', 'S', 8], 1, false), skipRmsNorm, 'has the axis 1')
  })
})

describe('skip-layer-norm-bias', () => {
  const skip = (bias: number[], first: boolean, x: (number | string)[] = ['B', 'S', 8]) =>
    draw(({ op, ms, input, weight }) => {
      const biased = op.Add(op.Neg(input('x', x)), weight(bias))
      const other = input('skip', ['B', 'S', 8])
      const operands = [weight([8]), weight([8])]
      return ms.SkipLayerNormalization(...(first ? [biased, other] : [other, biased]), ...operands, { epsilon: 1e-5 })
    })
  test('on either side, and the RMS form', async () => {
    for (const first of [true, false])
      await expectFusion(await skip([8], first), skipLayerNormBias, 'Neg, com.microsoft:SkipLayerNormalization')
    const model = await draw(({ op, ms, input, weight }) =>
      ms.SkipSimplifiedLayerNormalization(
        op.Add(input('x', [2, 3, 8]), weight([8])),
        input('s', [2, 3, 8]),
        weight([8]),
      ),
    )
    await expectFusion(model, skipLayerNormBias, 'com.microsoft:SkipSimplifiedLayerNormalization')
  })
  test('keeps the sum', async () => {
    const model = await draw(({ op, create, input, weight }) => {
      const inputs = [op.Add(input('x', [2, 3, 8]), weight([8])), input('s', [2, 3, 8]), weight([8]), weight([8])]
      const outputs = [true, false, false, true]
      const [y, , , sum] = create({
        op: 'com.microsoft:SkipLayerNormalization',
        inputs,
        attributes: { epsilon: 1e-5 },
        outputs,
      })
      return [y!, op.Neg(sum!)]
    })
    await expectFusion(model, skipLayerNormBias, 'Neg, com.microsoft:SkipLayerNormalization')
  })
  test('near misses', async () => {
    expectRefusal(await skip([1, 1, 8], true), skipLayerNormBias, 'is no bias of the last dimension')
    expectRefusal(await skip([1], true), skipLayerNormBias, 'is no bias of the last dimension')
    const shared = await draw(({ op, ms, input, weight }) => {
      const biased = op.Add(input('x', [2, 3, 8]), weight([8]))
      const y = ms.SkipLayerNormalization(biased, input('s', [2, 3, 8]), weight([8]), weight([8]))
      return [y, op.Neg(biased)]
    })
    expectRefusal(shared, skipLayerNormBias, 'is also read by')
  })
})
