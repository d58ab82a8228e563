import { describe, expect, test } from 'vitest'
import type { Value } from '../../../src/graph/value.ts'
import { rewrite } from '../../../src/rewrite/index.ts'
import { biasDropout, biasDropoutResidual } from '../../../src/rules/activations/bias-dropout.ts'
import { biasFastGelu, biasGelu } from '../../../src/rules/activations/bias-gelu.ts'
import { biasSoftmax } from '../../../src/rules/activations/bias-softmax.ts'
import { fastGelu } from '../../../src/rules/activations/fast-gelu.ts'
import { geluApproximation } from '../../../src/rules/activations/gelu-approximation.ts'
import { quickGelu } from '../../../src/rules/activations/quick-gelu.ts'
import { draw, expectFusion, expectRefusal, opsOf, type Sketch } from '../../support/rules.ts'

describe('fast-gelu', () => {
  const c = Math.sqrt(2 / Math.PI)
  const forms: Record<string, (sketch: Sketch, x: Value) => Value> = {
    'x^3 by Pow': ({ op }, x) => {
      const inner = op.Mul(op.Add(x, op.Mul(op.Pow(x, 3), 0.044715)), c)
      return op.Mul(op.Mul(x, 0.5), op.Add(op.Tanh(inner), 1))
    },
    'x * x * x': ({ op }, x) => {
      const inner = op.Mul(op.Add(x, op.Mul(op.Mul(op.Mul(x, x), x), 0.044715)), c)
      return op.Mul(op.Mul(op.Add(op.Tanh(inner), 1), 0.5), x)
    },
    'the constant first': ({ op }, x) => {
      const inner = op.Mul(op.Add(x, op.Mul(op.Mul(x, 0.044715), op.Mul(x, x))), 0.7979)
      return op.Mul(op.Mul(x, op.Add(op.Tanh(inner), 1)), 0.5)
    },
    'x factored out': ({ op }, x) => {
      const inner = op.Mul(op.Mul(x, c), op.Add(op.Mul(op.Mul(x, 0.044715), x), 1))
      return op.Mul(op.Mul(x, 0.5), op.Add(op.Tanh(inner), 1))
    },
  }
  test.each(Object.entries(forms))('%s', async (_, form) => {
    const model = await draw((s) => form(s, s.input('x', ['B', 7])))
    await expectFusion(model, fastGelu, 'com.microsoft:FastGelu', { tolerance: 2e-4, allows: (op) => op !== 'Gelu' })
  })

  test('the standard Gelu where the model has it', async () => {
    const model = await draw((s) => forms['x^3 by Pow']!(s, s.input('x', [2, 7])), { opset: 20 })
    await expectFusion(model, fastGelu, 'Gelu', { tolerance: 1e-5 })
    expect(model.graph.firstNode!.string('approximate')).toBe('tanh')
  })

  const broken = (change: (s: Sketch, x: Value) => { inner?: Value; cube?: number; outer?: number }) =>
    draw((s) => {
      const { op } = s
      const x = s.input('x', [2, 7])
      const { inner = x, cube = 0.044715, outer = c } = change(s, x)
      return op.Mul(op.Mul(x, 0.5), op.Add(op.Tanh(op.Mul(op.Add(inner, op.Mul(op.Pow(x, 3), cube)), outer)), 1))
    })
  test('near misses', async () => {
    expectRefusal(await broken(() => ({ cube: 0.05 })), fastGelu, 'expected the constant 0.044715')
    expectRefusal(await broken(() => ({ outer: 0.8 })), fastGelu, 'expected the constant 0.797885')
    expectRefusal(await broken(({ op }, x) => ({ inner: op.Neg(x) })), fastGelu, 'is not the same value')
  })
})

describe('quick-gelu', () => {
  test('with any factor, and none', async () => {
    const model = await draw(({ op, input }) => {
      const x = op.Neg(input('x', ['B', 5]))
      const y = op.Mul(op.Sigmoid(op.Mul(x, 1.702)), x)
      return [y, op.Mul(x, op.Sigmoid(x)), op.Mul(x, op.Sigmoid(op.Div(x, 2)))]
    })
    await expectFusion(model, quickGelu, 'Neg, 3 com.microsoft:QuickGelu')
    const alphas = [...model.graph.nodes()].map((node) => node.float('alpha')).filter((alpha) => alpha !== undefined)
    expect(alphas.map((alpha) => alpha.toFixed(3)).sort()).toEqual(['0.500', '1.000', '1.702'])
  })

  test('near misses', async () => {
    const other = await draw(({ op, input }) => op.Mul(input('y', [4]), op.Sigmoid(op.Mul(input('x', [4]), 1.702))))
    expectRefusal(other, quickGelu, 'is not the same value')
    const computed = await draw(({ op, input }) => {
      const x = input('x', [4])
      return op.Mul(x, op.Sigmoid(op.Mul(x, input('alpha', []))))
    })
    expectRefusal(computed, quickGelu, 'expected a scalar constant')
    const shared = await draw(({ op, input }) => {
      const x = input('x', [4])
      const sigmoid = op.Sigmoid(x)
      return [op.Mul(x, sigmoid), sigmoid]
    })
    expectRefusal(shared, quickGelu, 'is also an output of the graph')
  })
})

describe('bias-gelu and bias-fast-gelu', () => {
  test('of a projection', async () => {
    const model = await draw(({ ms, op, input, weight }) => {
      const x = op.MatMul(input('x', ['B', 4]), weight([4, 6]))
      return [ms.Gelu(op.Add(weight([6]), x)), ms.FastGelu(op.Add(x, weight([6])))]
    })
    const ops = 'MatMul, com.microsoft:BiasGelu, com.microsoft:FastGelu'
    await expectFusion(model, [biasGelu, biasFastGelu], ops, { tolerance: 1e-5 })
  })

  test('of the standard Gelu, by its approximation', async () => {
    const model = await draw(
      ({ op, input, weight }) => {
        const x = input('x', ['B', 6])
        return [op.Gelu(op.Add(x, weight([6]))), op.Gelu(op.Add(x, weight([6])), { approximate: 'tanh' })]
      },
      { opset: 20 },
    )
    await expectFusion(model, [biasGelu, biasFastGelu], 'com.microsoft:BiasGelu, com.microsoft:FastGelu')
  })

  test('near misses', async () => {
    const sum = async (dims: number[], x: (number | string)[] = ['B', 6]) =>
      draw(({ ms, op, input, weight }) => ms.Gelu(op.Add(input('x', x), weight(dims))))
    expectRefusal(await sum([1, 6]), biasGelu, 'is no bias: it is not 1-D')
    expectRefusal(await sum([1]), biasGelu, 'is no bias: it has not the last dimension')
    expectRefusal(await sum([6], ['B', 'N']), biasGelu, 'is no bias: it has not the last dimension')
    const shared = await draw(({ ms, op, input, weight }) => {
      const added = op.Add(input('x', [2, 6]), weight([6]))
      return [ms.Gelu(added), op.Neg(added)]
    })
    expectRefusal(shared, biasGelu, 'is also read by')
  })
})

describe('gelu-approximation', () => {
  test('is close to what it replaces', async () => {
    const model = await draw(({ ms, input, weight }) => {
      const x = input('x', ['B', 6])
      return [ms.Gelu(x), ms.BiasGelu(x, weight([6]))]
    })
    await expectFusion(model, geluApproximation, '2 com.microsoft:FastGelu', { tolerance: 5e-4 })
  })
})

describe('bias-softmax', () => {
  const softmax = (x: (number | string)[], bias: (number | string)[], axis: number) =>
    draw(({ op, input }) => op.Softmax(op.Add(input('b', bias), input('x', x)), { axis }))
  test('over one run of broadcast dimensions', async () => {
    for (const [bias, inner] of [
      [['B', 1, 1, 'S'], 1],
      [[1, 1, 'S', 'S'], 0],
    ] as const) {
      const model = await softmax(['B', 4, 'S', 'S'], [...bias], -1)
      expect(rewrite(model, [[biasSoftmax]]).changes).toBe(1)
      expect(opsOf(model)).toBe('com.microsoft:BiasSoftmax')
      expect(model.graph.firstNode!.int('is_inner_broadcast')).toBe(inner)
      expect(model.graph.firstNode!.int('axis')).toBe(3)
    }
  })
  test('near misses', async () => {
    expectRefusal(await softmax([2, 4, 3, 3], [2, 1, 1, 3], 1), biasSoftmax, 'is over the axis 1')
    expectRefusal(await softmax([2, 4, 3, 3], [1, 4, 1, 3], -1), biasSoftmax, 'broadcast in more than one place')
    expectRefusal(await softmax([2, 4, 3, 3], [3], -1), biasSoftmax, 'has not the rank of the input')
  })
})

describe('bias-dropout', () => {
  const dropout = (bias: number[], residual: boolean) =>
    draw(({ op, input, weight, create }) => {
      const x = input('x', ['B', 6])
      const [y] = create({
        op: 'Dropout',
        inputs: [op.Add(x, weight(bias)), input('ratio', []), input('training', [], 'bool')],
        outputs: 1,
      })
      return residual ? op.Add(input('r', ['B', 6]), y!) : y!
    })
  test('with and without a residual sum', async () => {
    for (const residual of [true, false]) {
      const model = await dropout([6], residual)
      rewrite(model, [[biasDropout, biasDropoutResidual]])
      expect(opsOf(model)).toBe('com.microsoft:BiasDropout')
      expect(model.graph.firstNode!.input(2) !== undefined).toBe(residual)
    }
  })
  test('near misses', async () => {
    expectRefusal(await dropout([1, 6], false), biasDropout, 'is no bias: it is not 1-D')
    expectRefusal(await dropout([1], false), biasDropout, 'is no bias')
    const model = await draw(({ op, input }) =>
      op.Dropout(op.Neg(input('x', [2])), input('r', []), input('t', [], 'bool')),
    )
    expectRefusal(model, biasDropout, 'expected Add')
  })
})
