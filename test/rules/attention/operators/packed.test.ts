import { describe, expect, test } from 'vitest'
import type { Model } from '../../../../src/graph/model.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import type { Value } from '../../../../src/graph/value.ts'
import { codeOf } from '../../../../src/onnx/dtypes.ts'
import { fuseAttention, ort } from '../../../support/attention.ts'
import { draw, expectClose, opsOf, randomFeeds, type Sketch } from '../../../support/rules.ts'

const HEADS = 4
const SIZE = 8
const HIDDEN = HEADS * SIZE
const EACH = [0, 1, 2]

/** Query, key and value [batch, heads, length, size] from one product with all weights side by side. */
type Form = (s: Sketch, packed: Value) => readonly Value[]

const swap = ({ op }: Sketch, x: Value): Value => op.Transpose(x, { perm: [0, 2, 1, 3] })
const pick = (s: Sketch, x: Value, at: number): Value => s.op.Gather(x, s.constant(Tensor.int64([at], [])), { axis: 0 })
const parts = (s: Sketch, x: Value, axis: number, sizes: readonly number[] = [1, 1, 1]): Value[] =>
  s.create({ op: 'Split', inputs: [x, sizes], attributes: { axis }, outputs: 3 }) as Value[]

const forms: Record<string, Form> = {
  'three, heads, size; picked by index': (s, x) => {
    const moved = s.op.Transpose(s.op.Reshape(x, [0, 0, 3, HEADS, SIZE]), { perm: [2, 0, 3, 1, 4] })
    return EACH.map((at) => pick(s, moved, at))
  },
  'three, heads, size; split': (s, x) =>
    parts(s, s.op.Reshape(x, [0, 0, 3, HEADS, SIZE]), 2).map((part) => swap(s, s.op.Squeeze(part, [2]))),
  'heads, three, size; sliced': (s, x) => {
    const heads = s.op.Reshape(x, [0, 0, HEADS, 3, SIZE])
    return EACH.map((at) => swap(s, s.op.Squeeze(s.op.Slice(heads, [at], [at + 1], [3]), [3])))
  },
  'heads, three times size; split': (s, x) =>
    parts(s, swap(s, s.op.Reshape(x, [0, 0, HEADS, 3 * SIZE])), -1, [SIZE, SIZE, SIZE]),
  'columns sliced, then heads': (s, x) =>
    EACH.map((at) =>
      swap(s, s.op.Reshape(s.op.Slice(x, [at * HIDDEN], [(at + 1) * HIDDEN], [-1]), [0, 0, HEADS, SIZE])),
    ),
  'batch and heads in one axis': (s, x) => {
    const moved = s.op.Transpose(s.op.Reshape(x, [0, 0, 3, HEADS, SIZE]), { perm: [2, 0, 3, 1, 4] })
    return parts(s, s.op.Reshape(moved, [3, -1, 5, SIZE]), 0).map((part) => s.op.Squeeze(part, [0]))
  },
}

/** An attention of [batch, length, hidden]. `rows` is what comes before and after in another order of rows. */
function attention(
  form: Form,
  options: { length?: number; isTurned?: boolean; isFlat?: boolean; project?: Project } = {},
): Promise<Model> {
  return draw((s) => {
    const { op } = s
    const dims = ['batch', options.length ?? 'length'] as const
    const x = s.input('x', [...(options.isTurned ? [...dims].reverse() : dims), HIDDEN])
    const [q, k, v] = form(s, (options.project ?? linear)(s, x))
    const { isFlat } = options
    const turned = op.Transpose(k!, { perm: isFlat ? [0, 2, 1] : [0, 1, 3, 2] })
    const softmax = op.Softmax(op.Mul(op.MatMul(q!, turned), SIZE ** -0.5), { axis: -1 })
    const weighed = op.MatMul(softmax, v!)
    const standing = isFlat ? op.Reshape(weighed, [-1, HEADS, 5, SIZE]) : weighed
    if (options.isTurned) return op.Reshape(op.Transpose(standing, { perm: [2, 0, 1, 3] }), [0, 0, HIDDEN])
    return op.Reshape(swap(s, standing), [0, 0, HIDDEN])
  })
}

type Project = (s: Sketch, x: Value) => Value
const linear: Project = (s, x) =>
  s.op.Add(s.op.MatMul(x, s.weight([HIDDEN, 3 * HIDDEN], { scale: 0.3 })), s.weight([3 * HIDDEN]))

async function expectFused(model: Model, ops: string, sizes: Readonly<Record<string, number>> = {}): Promise<void> {
  for (const batch of [1, 3]) {
    const feeds = randomFeeds(model, { batch, length: 5, ...sizes })
    const expected = await ort.evaluate(model, feeds)
    if (batch === 1) await fuseAttention(model)
    else expect(opsOf(model)).toBe(ops)
    expectClose(await ort.evaluate(model, feeds), expected, 1e-4)
  }
}

describe('packed projections become Attention', () => {
  test.each(Object.entries(forms))('%s', async (name, form) => {
    await expectFused(
      await attention(form, name.startsWith('batch') ? { length: 5, isFlat: true } : {}),
      'com.microsoft:Attention',
    )
  })

  test('with the length first', async () => {
    const form: Form = (s, x) =>
      parts(s, x, -1, [HIDDEN, HIDDEN, HIDDEN]).map((part) =>
        s.op.Transpose(s.op.Reshape(part, [0, 0, HEADS, SIZE]), { perm: [1, 2, 0, 3] }),
      )
    await expectFused(await attention(form, { isTurned: true }), '2 Transpose, com.microsoft:Attention')
  })

  test('as a Gemm of all rows', async () => {
    const project: Project = (s, x) => {
      const rows = s.op.Reshape(x, [-1, HIDDEN])
      const product = s.op.Gemm(rows, s.weight([HIDDEN, 3 * HIDDEN], { scale: 0.3 }), s.weight([3 * HIDDEN]))
      return s.op.Reshape(product, [-1, 5, 3 * HIDDEN])
    }
    await expectFused(
      await attention(forms['columns sliced, then heads']!, { length: 5, project }),
      'com.microsoft:Attention',
    )
  })

  test('without a bias, and where only a part of the columns is used', async () => {
    const project: Project = (s, x) => s.op.MatMul(x, s.weight([HIDDEN, 4 * HIDDEN], { scale: 0.3 }))
    await expectFused(await attention(forms['columns sliced, then heads']!, { project }), 'com.microsoft:Attention')
  })
})

describe('parts of a packed projection in another order', () => {
  const cross = (isRead = false): Promise<Model> =>
    draw((s) => {
      const { op } = s
      const query = op.MatMul(s.input('x', ['batch', 'length', HIDDEN]), s.weight([HIDDEN, HIDDEN], { scale: 0.3 }))
      const words = s.input('words', ['batch', 'count', HIDDEN])
      const both = op.Add(op.MatMul(words, s.weight([HIDDEN, 2 * HIDDEN], { scale: 0.3 })), s.weight([2 * HIDDEN]))
      const moved = op.Transpose(op.Reshape(both, [0, 0, HEADS, 2, SIZE]), { perm: [3, 0, 2, 1, 4] })
      const q = swap(s, op.Reshape(query, [0, 0, HEADS, SIZE]))
      const scores = op.MatMul(q, op.Transpose(pick(s, moved, 0), { perm: [0, 1, 3, 2] }))
      const y = op.MatMul(op.Softmax(op.Mul(scores, SIZE ** -0.5), { axis: -1 }), pick(s, moved, 1))
      const merged = op.Reshape(swap(s, y), [0, 0, HIDDEN])
      return isRead ? [merged, op.Neg(both)] : merged
    })

  test('have weights of their own, and nothing is moved', async () => {
    await expectFused(await cross(), '2 Add, 3 MatMul, com.microsoft:MultiHeadAttention', { count: 7 })
  })

  test('stay where the product is needed as it is', async () => {
    const ops = 'Add, 2 Gather, 2 MatMul, Neg, Reshape, Transpose, com.microsoft:MultiHeadAttention'
    await expectFused(await cross(true), ops, { count: 7 })
  })
})

describe('others become MultiHeadAttention', () => {
  const rest: Record<string, [Form, Project?]> = {
    'a part that something else reads': [
      (s, x) => {
        const [q, k, v] = forms['columns sliced, then heads']!(s, x)
        s.graph.addOutput(s.op.Neg(k!))
        return [q!, k!, v!]
      },
    ],
    'a key of other rows': [
      (s, x) => {
        const [q, , v] = forms['columns sliced, then heads']!(s, x)
        const other = s.op.MatMul(s.input('other', ['batch', 'length', HIDDEN]), s.weight([HIDDEN, HIDDEN]))
        return [q!, swap(s, s.op.Reshape(other, [0, 0, HEADS, SIZE])), v!]
      },
    ],
    'weights that are computed': [
      forms['columns sliced, then heads']!,
      (s, x) => s.op.MatMul(x, s.op.Cast(s.input('w', [HIDDEN, 3 * HIDDEN]), { to: codeOf('float32') })),
    ],
    'a key that is normalised': [
      (s, x) => {
        const [q, k, v] = forms['columns sliced, then heads']!(s, x)
        return [q!, s.op.LayerNormalization(k!, s.weight([SIZE], { around: 1 }), { axis: -1 }), v!]
      },
    ],
  }
  test.each(Object.entries(rest))('%s', async (_, [form, project]) => {
    const model = await attention(form, project ? { project } : {})
    const feeds = randomFeeds(model, { length: 5 })
    const expected = await ort.evaluate(model, feeds)
    await fuseAttention(model)
    expect(opsOf(model)).toContain('com.microsoft:MultiHeadAttention')
    expectClose(await ort.evaluate(model, feeds), expected, 1e-4)
  })
})
