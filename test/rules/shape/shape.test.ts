import { describe, expect, test } from 'vitest'
import { propagateShapes } from '../../../src/graph/shapes/index.ts'
import { integersOf } from '../../../src/rewrite/index.ts'
import { divMul, notWhere, reluClip } from '../../../src/rules/shape/arithmetic.ts'
import { constantShape } from '../../../src/rules/shape/constant-shape.ts'
import { reshapeReshape, sliceSlice, transposeTranspose, unsqueezeUnsqueeze } from '../../../src/rules/shape/merge.ts'
import { draw, expectFusion, expectRefusal } from '../../support/rules.ts'

describe('constant-shape', () => {
  const heads = (from: 'x' | 'y', extra: (number | string)[] = []) =>
    draw(({ op, input }) => {
      const [x, y] = [op.Neg(input('x', ['B', 'S', 12, ...extra])), op.Neg(input('y', ['C', 'T', 12]))]
      const shape = op.Shape(from === 'x' ? x : y)
      const at = (i: number) => op.Unsqueeze(op.Gather(shape, op.Squeeze([i], [0])), [0])
      return [op.Neg(op.Reshape(x, op.Concat(at(0), at(1), [3], [4], { axis: 0 }))), y]
    })
  test('copies dimensions of the input', async () => {
    const model = await heads('x')
    propagateShapes(model)
    await expectFusion(model, constantShape, '3 Neg, Reshape', { sizes: { B: 2, S: 5, C: 2, T: 5 } })
    const reshape = [...model.graph.nodes()].find(({ opType }) => opType === 'Reshape')!
    expect(integersOf(reshape.input(1))).toEqual([0, 0, 3, 4])
  })
  test('near misses', async () => {
    const other = await heads('y')
    propagateShapes(other)
    expectRefusal(other, constantShape, 'with several open sizes')
    expectRefusal(
      await draw(({ op, input }) => op.Reshape(input('x', ['B', 4]), [-1, 2])),
      constantShape,
      'is constant already',
    )
    const output = await draw(({ op, input }) => op.Reshape(input('x', [2, 4]), op.Shape(input('y', [4, 2]))))
    expectRefusal(output, constantShape, 'is an output of the graph')
    const unknown = await draw(({ op, input }) =>
      op.Neg(op.Reshape(input('x', [2, 4]), input('shape', ['N'], 'int64'))),
    )
    expectRefusal(unknown, constantShape, 'has an unknown rank')
  })
})

describe('reshape-reshape', () => {
  test('through operators that keep the order of elements', async () => {
    const model = await draw(({ op, input }) => {
      const x = input('x', ['B', 6, 4])
      return [
        op.Reshape(op.Reshape(x, [0, 24]), [-1, 2, 12]),
        op.Reshape(op.Flatten(x), [0, 8, 3]),
        op.Reshape(op.Unsqueeze(x, [0]), [1, -1, 4]),
      ]
    })
    await expectFusion(model, reshapeReshape, '3 Reshape')
  })
  test('near misses', async () => {
    const moved = await draw(({ op, input }) => op.Reshape(op.Reshape(input('x', ['B', 'S', 4]), [-1, 4]), [0, 2, 2]))
    expectRefusal(moved, reshapeReshape, 'has a dimension 0 that the shape copies')
    const computed = await draw(({ op, input }) =>
      op.Reshape(op.Reshape(input('x', [4]), [2, 2]), input('shape', [2], 'int64')),
    )
    expectRefusal(computed, reshapeReshape, 'expected a constant (shape)')
    const between = await draw(({ op, input }) => op.Reshape(op.Neg(op.Reshape(input('x', [4]), [2, 2])), [4]))
    expectRefusal(between, reshapeReshape, 'expected Reshape or Flatten')
  })
})

describe('transpose-transpose', () => {
  const pair = (a: number[], b: number[], read = false) =>
    draw(({ op, input }) => {
      const between = op.Transpose(input('x', [2, 3, 4]), { perm: a })
      const y = op.Neg(op.Transpose(between, { perm: b }))
      return read ? [y, op.Abs(between)] : y
    })
  test('composes, and cancels only what cancels', async () => {
    await expectFusion(await pair([1, 2, 0], [1, 2, 0]), transposeTranspose, 'Neg, Transpose')
    await expectFusion(await pair([1, 2, 0], [2, 0, 1]), transposeTranspose, 'Neg')
    await expectFusion(await pair([0, 2, 1], [0, 2, 1], true), transposeTranspose, 'Abs, Neg, Transpose')
  })
  test('near misses', async () => {
    expectRefusal(await pair([1, 2, 0], [1, 2, 0], true), transposeTranspose, 'is needed elsewhere')
    const reversed = await draw(({ op, input }) => op.Transpose(op.Transpose(input('x', [2, 3])), { perm: [1, 0] }))
    expectRefusal(reversed, transposeTranspose, 'reverses the dimensions of an unknown rank')
    const between = await draw(({ op, input }) =>
      op.Transpose(op.Neg(op.Transpose(input('x', [2, 3]), { perm: [1, 0] })), { perm: [1, 0] }),
    )
    expectRefusal(between, transposeTranspose, 'expected Transpose, found')
  })
})

describe('unsqueeze-unsqueeze', () => {
  test.each([
    [[0], [0]],
    [[1], [0]],
    [
      [0, 2],
      [1, 3],
    ],
    [[-1], [-2]],
    [[1], [2]],
  ])('%j then %j', async (first, second) => {
    const model = await draw(({ op, input }) => op.Unsqueeze(op.Unsqueeze(input('x', ['A', 'B']), first), second))
    await expectFusion(model, unsqueezeUnsqueeze, 'Unsqueeze', { sizes: { A: 3, B: 5 } })
  })
  test('as an attribute in old opsets', async () => {
    const model = await draw(
      ({ op, input }) => op.Unsqueeze(op.Unsqueeze(input('x', [2, 3]), { axes: [1] }), { axes: [2] }),
      { opset: 11 },
    )
    await expectFusion(model, unsqueezeUnsqueeze, 'Unsqueeze')
  })
  test('near misses', async () => {
    const computed = await draw(({ op, input }) =>
      op.Unsqueeze(op.Unsqueeze(input('x', [2]), [0]), input('axes', [1], 'int64')),
    )
    expectRefusal(computed, unsqueezeUnsqueeze, 'has axes that are not constant')
    const read = await draw(({ op, input }) => {
      const y = op.Unsqueeze(input('x', [2]), [0])
      return [op.Unsqueeze(y, [0]), y]
    })
    expectRefusal(read, unsqueezeUnsqueeze, 'is also an output')
    const between = await draw(({ op, input }) => op.Unsqueeze(op.Neg(op.Unsqueeze(input('x', [2]), [0])), [0]))
    expectRefusal(between, unsqueezeUnsqueeze, 'expected Unsqueeze, found')
  })
})

describe('slice-slice', () => {
  const big = 2 ** 62
  const slices = (a: number[], b: number[], dims: (number | string)[] = [6, 7, 8]) =>
    draw(({ op, input }) => op.Slice(op.Slice(input('x', dims), [1], [big], a, [2]), [-3], [-1], b))
  test('of different axes', async () => {
    await expectFusion(await slices([0], [2]), sliceSlice, 'Slice')
    await expectFusion(await slices([-1], [0], ['A', 'B', 9]), sliceSlice, 'Slice', { sizes: { A: 5, B: 4 } })
  })
  test('near misses', async () => {
    expectRefusal(await slices([0], [-3]), sliceSlice, 'slices an axis that was sliced before')
    const computed = await draw(({ op, input }) =>
      op.Slice(op.Slice(input('x', [6, 7]), [1], [2], [0]), input('start', [1], 'int64'), [5], [1]),
    )
    expectRefusal(computed, sliceSlice, 'is sliced at computed places')
    const old = await draw(
      ({ op, input }) => {
        const first = op.Slice(input('x', [6, 7]), { starts: [1], ends: [2], axes: [0] })
        return op.Slice(first, { starts: [1], ends: [2], axes: [1] })
      },
      { opset: 9 },
    )
    expectRefusal(old, sliceSlice, 'takes attributes in this opset')
  })
})

describe('not-where, div-mul, relu-clip', () => {
  test('match', async () => {
    const where = await draw(({ op, input }) => {
      const not = op.Not(input('c', [4], 'bool'))
      return [op.Where(not, input('x', [4]), input('y', [4])), not]
    })
    await expectFusion(where, notWhere, 'Not, Where')
    const quotient = await draw(({ op, input, weight }) => {
      const y = op.Exp(input('y', [4]))
      return [
        op.Mul(op.Div(weight([], { around: 1, scale: 0 }), y), input('x', [4])),
        op.Mul(input('z', [4]), op.Reciprocal(y)),
      ]
    })
    await expectFusion(quotient, divMul, '2 Div, Exp')
    const clip = await draw(({ op, input }) => [
      op.Clip(op.Relu(input('x', [9])), -1, 2),
      op.Clip(op.Relu(input('y', [9])), 0.5),
      op.Clip(op.Relu(input('z', [9])), null, 1),
    ])
    await expectFusion(clip, reluClip, '3 Clip')
    const old = await draw(({ op, input }) => op.Clip(op.Relu(input('x', [9])), { min: -1.5, max: 1.5 }), { opset: 9 })
    await expectFusion(old, reluClip, 'Clip')
  })
  test('near misses', async () => {
    const negative = await draw(({ op, input }) => op.Clip(op.Relu(input('x', [9])), -2, -1))
    expectRefusal(negative, reluClip, 'has the upper bound -1')
    const computed = await draw(({ op, input }) => op.Clip(op.Relu(input('x', [9])), input('low', [])))
    expectRefusal(computed, reluClip, 'has computed bounds')
    const two = await draw(({ op, input, weight }) =>
      op.Mul(op.Div(weight([], { around: 2, scale: 0 }), input('a', [2])), input('b', [2])),
    )
    expectRefusal(two, divMul, 'expected the constant 1')
    const wide = await draw(({ op, input, weight }) =>
      op.Mul(op.Div(weight([2, 1, 1], { around: 1, scale: 0 }), input('a', [2])), input('b', [2])),
    )
    expectRefusal(wide, divMul, 'may change the shape')
    const plain = await draw(({ op, input }) => op.Where(input('c', [2], 'bool'), input('a', [2]), input('b', [2])))
    expectRefusal(plain, notWhere, 'expected Not')
  })
})
