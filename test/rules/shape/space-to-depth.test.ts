import { describe, expect, test } from 'vitest'
import type { Model } from '../../../src/graph/model.ts'
import type { Dim } from '../../../src/graph/types.ts'
import { spaceToDepth } from '../../../src/rules/shape/space-to-depth.ts'
import { draw, expectFusion, expectRefusal } from '../../support/rules.ts'

interface Form {
  dims?: readonly Dim[]
  split?: readonly number[]
  perm?: readonly number[]
  joined?: readonly number[]
}

/** Blocks of 2 by 2, in three operators. */
const make = (form: Form = {}): Promise<Model> => {
  const { dims = [2, 3, 4, 6], split = [2, 3, 2, 2, 3, 2], perm = [0, 3, 5, 1, 2, 4], joined = [2, 12, 2, 3] } = form
  return draw(({ op, input }) => op.Reshape(op.Transpose(op.Reshape(input('x', dims), split), { perm }), joined))
}

/** The same in seven, as it comes from Darknet's layer: columns, rows and channels move one after the other. */
const long = (last: readonly number[]): Promise<Model> =>
  draw(({ op, input }) => {
    const columns = op.Transpose(op.Reshape(input('x', ['N', 3, 4, 6]), [-1, 3, 2, 2, 3, 2]), {
      perm: [0, 1, 2, 4, 3, 5],
    })
    const blocks = op.Transpose(op.Reshape(columns, [-1, 3, 6, 4]), { perm: [0, 1, 3, 2] })
    const channels = op.Transpose(op.Reshape(blocks, [-1, 3, 4, 2, 3]), { perm: last })
    return op.Reshape(channels, [-1, 12, 2, 3])
  })

describe('space-to-depth', () => {
  test.each<[string, Form]>([
    ['three operators', {}],
    ['any number of images', { dims: ['N', 3, 4, 6], split: [-1, 3, 2, 2, 3, 2], joined: [-1, 12, 2, 3] }],
    ['sizes copied', { split: [0, 3, 2, 2, 3, 2], joined: [0, -1, 2, 3] }],
  ])('%s', async (_, form) => {
    const model = await make(form)
    await expectFusion(model, spaceToDepth, 'SpaceToDepth', { tolerance: 0 })
    expect([...model.allNodes()][0]!.int('blocksize', 0)).toBe(2)
  })

  test('blocks of 3', async () => {
    const model = await make({ dims: [1, 2, 3, 6], split: [1, 2, 1, 3, 2, 3], joined: [1, 18, 1, 2] })
    await expectFusion(model, spaceToDepth, 'SpaceToDepth', { tolerance: 0 })
    expect([...model.allNodes()][0]!.int('blocksize', 0)).toBe(3)
  })

  test('seven operators', async () => {
    await expectFusion(await long([0, 2, 1, 3, 4]), spaceToDepth, 'SpaceToDepth', { tolerance: 0 })
    expectRefusal(await long([0, 1, 2, 3, 4]), spaceToDepth, 'orders elements otherwise')
  })

  test('near misses', async () => {
    // Channels before blocks: PixelUnshuffle.
    expectRefusal(await make({ perm: [0, 1, 3, 5, 2, 4] }), spaceToDepth, 'orders elements otherwise')
    expectRefusal(await make({ perm: [0, 5, 3, 1, 2, 4] }), spaceToDepth, 'orders elements otherwise')
    expectRefusal(await make({ joined: [2, 3, 4, 6] }), spaceToDepth, 'does not make blocks')
    expectRefusal(await make({ dims: [6, 4, 6], split: [2, 3, 2, 2, 3, 2] }), spaceToDepth, '4 dimensions')
    const open: Form = { dims: [2, 3, 'H', 6], split: [2, 3, 2, 2, 3, 2] }
    expectRefusal(await make(open), spaceToDepth, 'has sizes that are not known')
    const read = await draw(({ op, input }) => {
      const split = op.Reshape(input('x', [2, 3, 4, 6]), [2, 3, 2, 2, 3, 2])
      return [op.Reshape(op.Transpose(split, { perm: [0, 3, 5, 1, 2, 4] }), [2, 12, 2, 3]), op.Neg(split)]
    })
    expectRefusal(read, spaceToDepth, 'is also read by')
  })
})
