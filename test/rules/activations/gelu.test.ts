import { describe, expect, test } from 'vitest'
import type { Value } from '../../../src/graph/value.ts'
import { gelu } from '../../../src/rules/activations/gelu.ts'
import { draw, expectFusion, expectRefusal, type Sketch } from '../../support/rules.ts'

const forms: Record<string, (sketch: Sketch, x: Value) => Value> = {
  '(x * 0.5) * (erf + 1)': ({ op }, x) => op.Mul(op.Mul(x, 0.5), op.Add(op.Erf(op.Div(x, Math.SQRT2)), 1)),
  '(x * (1 + erf)) * 0.5': ({ op }, x) => op.Mul(op.Mul(x, op.Add(op.Erf(op.Div(x, Math.SQRT2)), 1)), 0.5),
  'x * (0.5 * (1 + erf))': ({ op }, x) => op.Mul(op.Mul(op.Add(op.Erf(op.Div(x, Math.SQRT2)), 1), 0.5), x),
  'erf(x * 0.7071)': ({ op }, x) => op.Mul(x, op.Mul(op.Add(op.Erf(op.Mul(x, Math.SQRT1_2)), 1), 0.5)),
  'x * (1 + erf) / 2': ({ op }, x) => op.Div(op.Mul(op.Add(op.Erf(op.Mul(x, Math.SQRT1_2)), 1), x), 2),
}

describe('gelu', () => {
  test.each(Object.entries(forms))('%s', async (_, form) => {
    const result = await expectFusion(await draw((s) => form(s, s.input('x', ['B', 3]))), gelu, 'com.microsoft:Gelu', {
      tolerance: 2e-5,
      allows: (op) => op !== 'Gelu',
    })
    expect(result.counts).toEqual({ gelu: 1 })
  })

  test('the standard Gelu where the model has it', async () => {
    const model = await draw((s) => forms['erf(x * 0.7071)']!(s, s.op.Relu(s.input('x', [2, 3]))), { opset: 20 })
    await expectFusion(model, gelu, 'Gelu, Relu')
  })

  test('not with another factor', async () => {
    const model = await draw(({ op, input }) => {
      const x = input('x', [4])
      return op.Mul(op.Mul(x, 0.4), op.Add(op.Erf(op.Div(x, Math.SQRT2)), 1))
    })
    expectRefusal(model, gelu, 'expected the constant 0.5')
  })

  test('not when x differs', async () => {
    const model = await draw(({ op, input }) =>
      op.Mul(op.Mul(input('z', [4]), 0.5), op.Add(op.Erf(op.Div(input('x', [4]), Math.SQRT2)), 1)),
    )
    expectRefusal(model, gelu, 'is not the same value as')
  })

  test('not when a value inside is read elsewhere', async () => {
    const model = await draw(({ op, input }) => {
      const x = input('x', [4])
      const erf = op.Erf(op.Div(x, Math.SQRT2))
      return [op.Mul(op.Mul(x, 0.5), op.Add(erf, 1)), op.Neg(erf)]
    })
    expectRefusal(model, gelu, 'is also read by')
  })
})
