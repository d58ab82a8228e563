import { describe, expect, test } from 'vitest'
import type { Model } from '../../../src/graph/model.ts'
import type { Value } from '../../../src/graph/value.ts'
import { softmax } from '../../../src/rules/activations/softmax.ts'
import { draw, expectFusion, expectRefusal, type Sketch } from '../../support/rules.ts'

interface Form {
  axis?: number
  over?: number
  keepdims?: number
  isPlain?: boolean
}

/** A Softmax in primitives. */
function written(
  { op }: Sketch,
  x: Value,
  { axis = -1, over = axis, keepdims = 1, isPlain = false }: Form = {},
): Value {
  const powers = op.Exp(isPlain ? x : op.Sub(x, op.ReduceMax(x, { axes: [over], keepdims: 1 })))
  const sum = op.ReduceSum(powers, [axis], { keepdims })
  return op.Div(powers, sum)
}

const make = (form: Form = {}, opset = 17): Promise<Model> =>
  draw((s) => written(s, s.input('x', ['B', 3, 3]), form), { opset })

describe('softmax', () => {
  test.each<[string, Form]>([
    ['over the last axis', {}],
    ['over another', { axis: 1 }],
    ['without its largest', { isPlain: true }],
  ])('%s', async (_, form) => {
    const model = await make(form)
    await expectFusion(model, softmax, 'Softmax')
    expect([...model.allNodes()][0]!.int('axis', 0)).toBe(form.axis === 1 ? -2 : -1)
  })

  test('less something else than its largest', async () => {
    await expectFusion(await make({ over: 1 }), softmax, 'ReduceMax, Softmax, Sub')
  })

  test('near misses', async () => {
    const two = await draw((s) => {
      const powers = s.op.Exp(s.input('x', ['B', 3, 3]))
      return s.op.Div(powers, s.op.ReduceSum(powers, [1, 2]))
    })
    expectRefusal(two, softmax, 'is not over one axis that stays')
    expectRefusal(await make({ keepdims: 0 }), softmax, 'is not over one axis that stays')
    const read = await draw((s) => {
      const powers = s.op.Exp(s.input('x', [2, 3]))
      return [s.op.Div(powers, s.op.ReduceSum(powers, [-1])), s.op.Neg(powers)]
    })
    expectRefusal(read, softmax, 'is also read by')
    const other = await draw((s) => {
      const [a, b] = [s.op.Exp(s.input('a', [2, 3])), s.op.Exp(s.input('b', [2, 3]))]
      return s.op.Div(a, s.op.ReduceSum(b, [-1]))
    })
    expectRefusal(other, softmax, 'is not the same value')
  })
})
