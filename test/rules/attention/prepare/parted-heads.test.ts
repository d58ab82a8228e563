import { describe, expect, test } from 'vitest'
import type { Value } from '../../../../src/graph/value.ts'
import { explain } from '../../../../src/rewrite/index.ts'
import { partedHeads } from '../../../../src/rules/attention/prepare/parted-heads.ts'
import { fuseAttention } from '../../../support/attention.ts'
import { draw, expectFusion, opsOf, type Sketch } from '../../../support/rules.ts'

const turned = (s: Sketch, perm: number[] = [0, 2, 1, 3]): Value =>
  s.op.Transpose(s.op.Reshape(s.input('x', ['batch', 'sequence', 96]), [0, 0, 4, 24]), { perm })
const parts = ({ op }: Sketch, x: Value): Value[] =>
  [0, 8, 16].map((from) => op.Slice(x, [from], [from + 8], [-1], [1]))

describe('queries, keys and values side by side in each head', () => {
  test('are taken apart before heads go first, by Slice and by Split', async () => {
    await expectFusion(await draw((s) => parts(s, turned(s))), partedHeads, 'Reshape, 3 Slice, 3 Transpose')
    const split = await draw(
      (s) => s.create({ op: 'Split', inputs: [turned(s), [8, 16]], attributes: { axis: 3 }, outputs: 2 }) as Value[],
    )
    await expectFusion(split, partedHeads, 'Reshape, Split, 2 Transpose')
  })

  test('then no Transpose is left of the attention', async () => {
    const model = await draw((s) => {
      const { op } = s
      const [q, k, v] = parts(s, turned(s))
      const scores = op.Div(op.MatMul(q!, op.Transpose(k!, { perm: [0, 1, 3, 2] })), Math.sqrt(8))
      return op.Reshape(
        op.Transpose(op.MatMul(op.Softmax(scores, { axis: -1 }), v!), { perm: [0, 2, 1, 3] }),
        [0, 0, 32],
      )
    })
    await fuseAttention(model)
    expect(opsOf(model)).toBe('4 Reshape, 3 Slice, com.microsoft:MultiHeadAttention')
  })

  test.each([
    ['has another last axis', (s: Sketch) => parts(s, turned(s, [0, 2, 3, 1]))],
    [
      'is read as a whole',
      (s: Sketch) => {
        const x = turned(s)
        return [...parts(s, x), s.op.Relu(x)]
      },
    ],
    ['is read as a whole', (s: Sketch) => [s.op.Slice(turned(s), [0], [2], [1], [1])]],
  ] as [string, (s: Sketch) => Value[]][])('left alone: %s', async (reason, body) => {
    const model = await draw(body)
    const before = opsOf(model)
    await fuseAttention(model, [[partedHeads]])
    expect(opsOf(model)).toBe(before)
    expect(explain(model, [partedHeads])[0]!.message).toContain(reason)
  })
})
