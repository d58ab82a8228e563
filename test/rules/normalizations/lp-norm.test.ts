import { describe, expect, test } from 'vitest'
import type { Model } from '../../../src/graph/model.ts'
import type { Value } from '../../../src/graph/value.ts'
import { lpNorm } from '../../../src/rules/normalizations/lp-norm.ts'
import { draw, expectFusion, expectRefusal, type Sketch } from '../../support/rules.ts'

interface Form {
  norm?: 'l2' | 'squares' | 'sum'
  axis?: number
  floor?: number
  isMax?: boolean
  expand?: 'shape' | 'constant' | 'none'
}

/** A row by its length, in primitives. */
function written({ op }: Sketch, x: Value, form: Form): Value {
  const { norm = 'l2', axis = -1, floor = 1e-12, isMax = false, expand = 'shape' } = form
  const length = {
    l2: () => op.ReduceL2(x, { axes: [axis] }),
    squares: () => op.Sqrt(op.ReduceSumSquare(x, { axes: [axis] })),
    sum: () => op.Sqrt(op.ReduceSum(op.Mul(x, x), [axis])),
  }[norm]()
  const bounded = isMax ? op.Max(length, floor) : op.Clip(length, floor)
  if (expand === 'none') return op.Div(x, bounded)
  return op.Div(x, op.Expand(bounded, expand === 'shape' ? op.Shape(x) : [2, 3, 5]))
}

const make = (form: Form = {}, dims: readonly (number | string)[] = ['B', 3, 5]): Promise<Model> =>
  draw((s) => written(s, s.input('x', dims), form))

describe('lp-norm', () => {
  test.each<[string, Form, string]>([
    ['ReduceL2, Clip, Expand to the shape', {}, 'LpNormalization'],
    ['the last axis by number', { axis: 2 }, 'LpNormalization'],
    ['ReduceSumSquare', { norm: 'squares' }, 'LpNormalization'],
    ['ReduceSum of squares, Max', { norm: 'sum', isMax: true }, 'LpNormalization'],
    ['without Expand', { expand: 'none' }, 'LpNormalization'],
  ])('%s', async (_, form, ops) => {
    const model = await make(form)
    await expectFusion(model, lpNorm, ops, { tolerance: 1e-6 })
    const node = [...model.allNodes()].find(({ opType }) => opType === 'LpNormalization')!
    expect([node.int('axis', 0), node.int('p', 0)]).toEqual([-1, 2])
  })

  test('Expand to a constant shape that is that of x; rows of zeros stay zeros', async () => {
    await expectFusion(await make({ expand: 'constant' }, [2, 3, 5]), lpNorm, 'LpNormalization')
    const zeros = await draw((s) => written(s, s.op.Mul(s.input('x', [2, 3, 5]), 0), {}))
    await expectFusion(zeros, lpNorm, 'LpNormalization, Mul')
  })

  test('near misses', async () => {
    expectRefusal(await make({ axis: 1 }), lpNorm, 'is not over the last axis')
    expectRefusal(await make({ floor: 1e-5 }), lpNorm, 'has the least norm')
    expectRefusal(await make({ expand: 'constant' }, [1, 3, 5]), lpNorm, 'is expanded to another shape')
    const other = await draw((s) => {
      const [a, b] = [s.input('a', [2, 5]), s.input('b', [2, 5])]
      return s.op.Div(a, s.op.Clip(s.op.ReduceL2(b, { axes: [-1] }), 1e-12))
    })
    expectRefusal(other, lpNorm, 'is not the same value')
    const half = await draw((s) => written(s, s.input('x', [2, 5], 'float16'), { expand: 'none', floor: 1e-7 }))
    expectRefusal(half, lpNorm, 'is not float32 or float64')
  })
})
