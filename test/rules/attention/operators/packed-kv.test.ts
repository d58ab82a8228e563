import { describe, expect, test } from 'vitest'
import type { Model } from '../../../../src/graph/model.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import type { Value } from '../../../../src/graph/value.ts'
import { type Rule, rule } from '../../../../src/rewrite/index.ts'
import { attentionPhases } from '../../../../src/rules/attention/index.ts'
import { packedKeyValue } from '../../../../src/rules/attention/operators/packed-kv.ts'
import { legalityOf } from '../../../../src/rules/legality.ts'
import { fuseAttention, ort } from '../../../support/attention.ts'
import { draw, expectClose, opsOf, randomFeeds } from '../../../support/rules.ts'

const HEADS = 4
const SIZE = 8
const HIDDEN = HEADS * SIZE
const TEXT = 24

const phases = attentionPhases
  .filter(({ group, onRequest }) => !onRequest || group === 'packed-kv')
  .map(({ rules }) => rules)

/** The CPU takes no packed keys and values: the same with each by itself. */
const spelledOut: Rule = rule({
  name: 'spelled-out',
  doc: 'MultiHeadAttention of packed keys and values -> of keys and values',
  match: ({ ms, any }) => ms.MultiHeadAttention(any('query'), any('both')),
  replace: ({ op, ms, constant, node, query, both }) => {
    const part = (at: number): Value => {
      const picked = op.Gather(both, constant(Tensor.int64([at], [])), { axis: 3 })
      return op.Reshape(picked, [0, 0, HIDDEN])
    }
    return ms.MultiHeadAttention(query, part(0), part(1), Object.fromEntries(node.attributes))
  },
})

interface Options {
  isSelf?: boolean
  hasBias?: boolean
  isRead?: boolean
  others?: boolean
}

/** Cross attention of image patches to words. */
function cross(options: Options = {}): Promise<Model> {
  return draw((s) => {
    const { op } = s
    const x = s.input('x', ['batch', 'patches', HIDDEN])
    const text = options.isSelf ? x : s.input('text', ['batch', 'words', TEXT])
    const other = options.others ? s.input('other', ['batch', 'words', TEXT]) : text
    const heads = (y: Value): Value => op.Transpose(op.Reshape(y, [0, 0, HEADS, SIZE]), { perm: [0, 2, 1, 3] })
    const project = (from: Value): Value =>
      op.MatMul(from, s.weight([from === x ? HIDDEN : TEXT, HIDDEN], { scale: 0.3 }))
    const key = project(text)
    const [q, k, v] = [project(x), options.hasBias ? op.Add(key, s.weight([HIDDEN])) : key, project(other)].map(heads)
    const scores = op.Mul(op.MatMul(q!, op.Transpose(k!, { perm: [0, 1, 3, 2] })), SIZE ** -0.5)
    const y = op.MatMul(op.Softmax(scores, { axis: -1 }), v!)
    const merged = op.Reshape(op.Transpose(y, { perm: [0, 2, 1, 3] }), [0, 0, HIDDEN])
    return options.isRead ? [merged, op.Neg(key)] : merged
  })
}

const fuse = (model: Model, device = 'cuda'): ReturnType<typeof fuseAttention> =>
  fuseAttention(model, phases, { allows: legalityOf(device) })

describe('packed-kv', () => {
  test('one product for keys and values', async () => {
    const model = await cross()
    const feeds = randomFeeds(model, { batch: 2, patches: 6, words: 5 })
    const expected = await ort.evaluate(model, feeds)
    await fuse(model)
    expect(opsOf(model)).toBe('2 MatMul, Reshape, com.microsoft:MultiHeadAttention')
    const attention = [...model.allNodes()].find(({ opType }) => opType === 'MultiHeadAttention')!
    expect(attention.input(1)!.producer!.input(0)!.producer!.input(1)!.shape).toEqual([TEXT, 2 * HIDDEN])
    await fuseAttention(model, [[spelledOut]])
    expectClose(await ort.evaluate(model, feeds), expected, 1e-5)
  })

  test.each<[string, Options, string]>([
    ['keys with a bias', { hasBias: true }, 'has a bias'],
    ['keys that something else reads', { isRead: true }, 'is read by something else too'],
    ['values of other words', { others: true }, 'is projected from another input'],
    ['attention of a value to itself', { isSelf: true }, 'is attention of a value to itself'],
  ])('not for %s', async (_, options, reason) => {
    const model = await cross(options)
    const { nearMisses } = await fuse(model)
    expect(nearMisses.find(({ rule }) => rule === packedKeyValue.name)?.reason).toContain(reason)
    expect(opsOf(model)).not.toMatch(/^2 MatMul, Reshape/)
  })

  test.each(['cpu', 'webgpu', 'webnn', 'dml'])('not for %s', async (device) => {
    const model = await cross()
    const { counts } = await fuse(model, device)
    expect(counts[packedKeyValue.name]).toBeUndefined()
  })
})
