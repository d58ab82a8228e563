import { describe, expect, test } from 'vitest'
import type { Value } from '../../../src/graph/value.ts'
import { rewrite } from '../../../src/rewrite/index.ts'
import { transposeThrough } from '../../../src/rules/diffusion/transpose-through.ts'
import { transposeTranspose } from '../../../src/rules/shape/merge.ts'
import { draw, expectClose, expectFusion, expectRefusal, opsOf, run, type Sketch } from '../../support/rules.ts'

const first = (s: Sketch, x: Value): Value => s.op.Transpose(x, { perm: [0, 3, 1, 2] })
const last = (s: Sketch, x: Value): Value => s.op.Transpose(x, { perm: [0, 2, 3, 1] })
const image = (s: Sketch, name: string, channels = 3): Value => s.input(name, ['B', 4, 5, channels])

describe('transpose-through', () => {
  test.each(['Add', 'Mul'] as const)('%s', async (name) => {
    const model = await draw((s) => s.op[name](first(s, image(s, 'a')), first(s, image(s, 'b'))))
    await expectFusion(model, transposeThrough, `${name}, Transpose`)
  })

  test.each([1, -1, 2])('Concat along axis %s, with what follows', async (axis) => {
    const model = await draw((s) => {
      const parts = ['a', 'b', 'c'].map((name) => first(s, image(s, name)))
      return last(s, s.create({ op: 'Concat', inputs: parts, attributes: { axis } })[0]!)
    })
    const expected = await run(model)
    rewrite(model, [[transposeThrough, transposeTranspose]], { strict: true })
    expect(opsOf(model)).toBe('Concat')
    expectClose(await run(model), expected, 0)
  })

  test('one input that is needed as it is', async () => {
    const model = await draw((s) => {
      const a = first(s, image(s, 'a'))
      return [s.op.Add(a, first(s, image(s, 'b'))), s.op.Relu(a)]
    })
    await expectFusion(model, transposeThrough, 'Add, Relu, 2 Transpose')
  })

  test('near misses', async () => {
    const other = await draw((s) => s.op.Add(first(s, image(s, 'a')), s.input('b', [1])))
    expectRefusal(other, transposeThrough, 'is not transposed')
    const ways = await draw((s) => s.op.Add(first(s, s.input('a', [2, 3, 3, 3])), last(s, s.input('b', [2, 3, 3, 3]))))
    expectRefusal(ways, transposeThrough, 'transposed in different ways')
    const needed = await draw((s) => {
      const [a, b] = [first(s, image(s, 'a')), first(s, image(s, 'b'))]
      return [s.op.Add(a, b), s.op.Relu(a), s.op.Relu(b)]
    })
    expectRefusal(needed, transposeThrough, 'has inputs that are needed as they are')
  })
})
