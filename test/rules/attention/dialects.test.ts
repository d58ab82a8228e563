import { describe, expect, test } from 'vitest'
import type { Model } from '../../../src/graph/model.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import type { Value } from '../../../src/graph/value.ts'
import { codeOf } from '../../../src/onnx/dtypes.ts'
import { explain } from '../../../src/rewrite/index.ts'
import { sdpa } from '../../../src/rules/attention/sdpa/index.ts'
import { fuseAttention, ort } from '../../support/attention.ts'
import { draw, expectClose, opsOf, randomFeeds, type Sketch } from '../../support/rules.ts'

const HEADS = 4
const SIZE = 8
const HIDDEN = HEADS * SIZE
const MINIMUM = -3.4028234663852886e38

/** A part of an attention, to be written in the way of one exporter. */
interface Dialect {
  /** The product of the query and the key, and that of the probabilities and the value. */
  product?: (s: Sketch, q: Value, k: Value) => Value
  weighted?: (s: Sketch, p: Value, v: Value) => Value
  /** The projection of x. */
  project?: (s: Sketch, x: Value) => Value
  /** [B, S, H] -> [B, N, S, h]. */
  heads?: (s: Sketch, x: Value) => Value
  query?: (s: Sketch, q: Value) => Value
  /** [B, N, S, h] -> [B, N, h, S]. */
  key?: (s: Sketch, k: Value) => Value
  scores?: (s: Sketch, scores: Value, mask: Value) => Value
  softmax?: (s: Sketch, scores: Value) => Value
  merge?: (s: Sketch, y: Value) => Value
}

const linear = (s: Sketch, x: Value): Value =>
  s.op.Add(s.op.MatMul(x, s.weight([HIDDEN, HIDDEN], { scale: 0.3 })), s.weight([HIDDEN]))
const split = ({ op }: Sketch, x: Value): Value =>
  op.Transpose(op.Reshape(x, [0, 0, HEADS, SIZE]), { perm: [0, 2, 1, 3] })
const transpose = ({ op }: Sketch, k: Value): Value => op.Transpose(k, { perm: [0, 1, 3, 2] })
const merge = ({ op }: Sketch, y: Value): Value => op.Reshape(op.Transpose(y, { perm: [0, 2, 1, 3] }), [0, 0, HIDDEN])

/** (1 - mask) * fill as [B, 1, 1, T]. */
function additive({ op }: Sketch, mask: Value, fill: number): Value {
  const wide = op.Unsqueeze(op.Unsqueeze(mask, [1]), [2])
  return op.Mul(op.Sub(1, op.Cast(wide, { to: codeOf('float32') })), fill)
}

const hidden = (s: Sketch, mask: Value): Value =>
  s.op.Equal(s.op.Unsqueeze(mask, [1, 2]), s.constant(Tensor.int64([0], [])))

function attention(dialect: Dialect, options: { opset?: number; length?: number } = {}): Promise<Model> {
  return draw((s) => {
    const { op } = s
    const length = options.length ?? 'sequence'
    const x = s.input('x', ['batch', length, HIDDEN])
    const mask = s.input('mask', ['batch', length], 'int64')
    const [q, k, v] = [0, 1, 2].map(() => (dialect.heads ?? split)(s, (dialect.project ?? linear)(s, x)))
    const query = dialect.query?.(s, q!) ?? op.Div(q!, Math.sqrt(SIZE))
    const product = dialect.product?.(s, query, k!) ?? op.MatMul(query, (dialect.key ?? transpose)(s, k!))
    const scores = dialect.scores?.(s, product, mask) ?? product
    const softmax = dialect.softmax?.(s, scores) ?? op.Softmax(scores, { axis: -1 })
    return (dialect.merge ?? merge)(s, dialect.weighted?.(s, softmax, v!) ?? op.MatMul(softmax, v!))
  }, options)
}

const constant = (s: Sketch, number: number): Value => s.constant(Tensor.float32([], [number]))

/** What the attention must become, and the way it is written. */
const dialects: Record<string, [string, Dialect, { opset?: number; length?: number }?]> = {
  'scale on the query': ['com.microsoft:Attention', {}],
  'scale on query and key': [
    'com.microsoft:Attention',
    {
      query: ({ op }, q) => op.Mul(q, SIZE ** -0.25),
      key: (s, k) => s.op.Mul(transpose(s, k), SIZE ** -0.25),
    },
  ],
  'scale before the heads are split': [
    '3 Add, 3 MatMul, Mul, com.microsoft:MultiHeadAttention',
    { project: (s, x) => s.op.Mul(linear(s, x), SIZE ** -0.25), query: (_, q) => q },
  ],
  'scale on the scores, computed from a shape': [
    'com.microsoft:Attention',
    {
      query: (_, q) => q,
      scores: (s, scores) => {
        const size = s.op.Cast(s.op.Slice(s.op.Shape(s.weight([2, SIZE])), [-1], [2 ** 31]), { to: codeOf('float32') })
        return s.op.Mul(scores, s.op.Div(constant(s, 1), s.op.Sqrt(size)))
      },
    },
  ],
  'no scale': ['com.microsoft:Attention', { query: (_, q) => q }],
  'additive mask': [
    'Cast, com.microsoft:Attention',
    { scores: (s, x, mask) => s.op.Add(x, additive(s, mask, MINIMUM)) },
  ],
  'additive mask of -10000': [
    'Cast, com.microsoft:Attention',
    { scores: (s, x, mask) => s.op.Add(x, additive(s, mask, -10000)) },
  ],
  'filled where the mask is 0': [
    'Cast, com.microsoft:Attention',
    {
      scores: (s, x, mask) => {
        const hidden = s.op.Equal(s.op.Unsqueeze(mask, [1, 2]), s.constant(Tensor.int64([0], [])))
        return s.op.Where(s.op.Expand(hidden, s.op.Shape(x)), constant(s, MINIMUM), x)
      },
    },
  ],
  'rows without keys become zeros': [
    'Cast, IsNaN, Where, com.microsoft:Attention',
    {
      scores: (s, x, mask) => {
        const seen = s.op.Cast(s.op.Unsqueeze(mask, [1, 2]), { to: codeOf('bool') })
        return s.op.Add(x, s.op.Where(seen, constant(s, 0), constant(s, Number.NEGATIVE_INFINITY)))
      },
      softmax: (s, x) => {
        const softmax = s.op.Softmax(x, { axis: -1 })
        return s.op.Where(s.op.IsNaN(softmax), constant(s, 0), softmax)
      },
    },
  ],
  'a bias that is no padding mask stays as it is': [
    'com.microsoft:Attention',
    { scores: (s, x) => s.op.Add(x, s.weight([1, HEADS, 3, 3])) },
    { length: 3 },
  ],
  'heads and batch in one axis': [
    'com.microsoft:Attention',
    {
      heads: (s, x) => s.op.Reshape(split(s, x), [-1, 3, SIZE]),
      key: ({ op }, k) => op.Transpose(k, { perm: [0, 2, 1] }),
      merge: (s, y) => merge(s, s.op.Reshape(y, [-1, HEADS, 3, SIZE])),
    },
    { length: 3 },
  ],
  'the key split and transposed at once': [
    'com.microsoft:Attention',
    { key: ({ op }, k) => op.Transpose(op.Transpose(k, { perm: [0, 2, 1, 3] }), { perm: [0, 2, 3, 1] }) },
  ],
  'times a mask, less 10000 where it is 0': [
    'Cast, com.microsoft:Attention',
    {
      scores: (s, x, mask) => {
        const seen = s.op.Cast(s.op.Unsqueeze(mask, [1, 2]), { to: codeOf('float32') })
        return s.op.Sub(s.op.Mul(x, seen), s.op.Mul(s.op.Sub(1, seen), 10000))
      },
    },
  ],
  'times a causal mask that is constant': [
    'Cast, Where, com.microsoft:Attention',
    {
      scores: (s, x) => {
        const triangle = s.constant(Tensor.float32([1, 1, 3, 3], [1, 0, 0, 1, 1, 0, 1, 1, 1]))
        return s.op.Add(s.op.Mul(x, triangle), s.op.Mul(s.op.Sub(triangle, 1), 10000))
      },
    },
    { length: 3 },
  ],
  'filled with -10000 where the mask is 0': [
    'Cast, com.microsoft:Attention',
    {
      scores: (s, x, mask) =>
        s.op.Where(s.op.Cast(s.op.Unsqueeze(mask, [1, 2]), { to: codeOf('bool') }), x, constant(s, -10000)),
    },
  ],
  'less the largest of each row': [
    'com.microsoft:Attention',
    { softmax: ({ op }, x) => op.Softmax(op.Sub(x, op.ReduceMax(x, { axes: [-1], keepdims: 1 })), { axis: -1 }) },
  ],
  'probabilities of hidden keys set to zero': [
    'Cast, IsNaN, Where, com.microsoft:Attention',
    {
      scores: (s, x, mask) => s.op.Where(hidden(s, mask), constant(s, MINIMUM), x),
      softmax: (s, x) => s.op.Where(x.producer!.input(0)!, constant(s, 0), s.op.Softmax(x, { axis: -1 })),
    },
  ],
  'probabilities weighed by head': [
    '3 Add, 3 MatMul, Mul, 2 Reshape, 2 Transpose, com.microsoft:MultiHeadAttention',
    { softmax: (s, x) => s.op.Mul(s.op.Softmax(x, { axis: -1 }), s.weight([1, HEADS, 1, 1])) },
  ],
  'each head scaled by a number of its own': [
    '3 Add, 3 MatMul, Mul, 2 Reshape, 2 Transpose, Unsqueeze, com.microsoft:MultiHeadAttention',
    { scores: (s, x) => s.op.Mul(x, s.weight([HEADS, 1, 1], { around: 2 })) },
  ],
  'values times transposed probabilities': [
    'com.microsoft:Attention',
    {
      weighted: ({ op }, p, v) => {
        const turn = (value: Value): Value => op.Transpose(value, { perm: [0, 1, 3, 2] })
        return turn(op.MatMul(turn(v), turn(p)))
      },
    },
  ],
  'a mask that is read backwards': [
    'Cast, Slice, com.microsoft:Attention',
    {
      scores: (s, x, mask) => s.op.Add(x, additive(s, s.op.Slice(mask, [-1], [-9], [1], [-1]), MINIMUM)),
    },
    { length: 3 },
  ],
  'products as Einsum, heads never transposed': [
    'com.microsoft:Attention',
    {
      heads: ({ op }, x) => op.Reshape(x, [0, 0, HEADS, SIZE]),
      product: ({ op }, q, k) => op.Einsum(q, k, { equation: 'bqhd,bkhd->bhqk' }),
      weighted: ({ op }, p, v) => op.Einsum(p, v, { equation: 'bhqk,bkhd->bqhd' }),
      merge: ({ op }, y) => op.Reshape(y, [0, 0, HIDDEN]),
    },
  ],
  'projections that are no plain products': [
    '3 Add, 3 MatMul, 3 Relu, com.microsoft:MultiHeadAttention',
    { project: (s, x) => s.op.Relu(linear(s, x)) },
  ],
}

const WHOLE_ROWS = [
  'additive mask',
  'filled where the mask is 0',
  'rows without keys become zeros',
  'times a mask, less 10000 where it is 0',
  'filled with -10000 where the mask is 0',
  'probabilities of hidden keys set to zero',
]

describe('attention as exporters write it', () => {
  test.each(Object.entries(dialects))('%s', async (_, [ops, dialect, options]) => {
    for (const batch of [1, 3]) {
      const model = await attention(dialect, options)
      const feeds = {
        ...randomFeeds(model, { batch, sequence: 3 }),
        mask: Tensor.int64([0, 1, 1, 1, 0, 1, 1, 1, 0].slice(0, batch * 3), [batch, 3]),
      }
      const expected = await ort.evaluate(model, feeds)
      await fuseAttention(model)
      expect(opsOf(model)).toBe(ops)
      expectClose(await ort.evaluate(model, feeds), expected, 1e-4)
    }
  })

  test('rows that see later keys alone, for a causal fill that hides less than the padding mask', async () => {
    const seen = Tensor.from('bool', [1, 1, 3, 3], [1, 0, 0, 1, 1, 0, 1, 1, 1])
    const scores: Dialect['scores'] = (s, x, mask) =>
      s.op.Add(s.op.Where(s.constant(seen), x, constant(s, -10000)), additive(s, mask, MINIMUM))
    const model = await attention({ scores }, { length: 3 })
    const feeds = { ...randomFeeds(model, { batch: 2 }), mask: Tensor.int64([0, 1, 1, 0, 0, 1], [2, 3]) }
    const expected = await ort.evaluate(model, feeds)
    await fuseAttention(model)
    expect(opsOf(model)).toContain('com.microsoft:Attention')
    expectClose(await ort.evaluate(model, feeds), expected, 1e-4)
  })

  test('rows that are masked as a whole', async () => {
    for (const name of WHOLE_ROWS) {
      const model = await attention(dialects[name]![1])
      const feeds = { ...randomFeeds(model, { batch: 2, sequence: 3 }), mask: Tensor.int64([0, 0, 0, 1, 1, 0], [2, 3]) }
      const expected = await ort.evaluate(model, feeds)
      await fuseAttention(model)
      expectClose(await ort.evaluate(model, feeds), expected, 1e-4)
    }
  })
})

test('each attention keeps the number that hides its keys', async () => {
  const model = await draw((s) => {
    const { op } = s
    const x = s.input('x', ['batch', 'sequence', HIDDEN])
    const mask = s.input('mask', ['batch', 'sequence'], 'int64')
    const layer = (input: Value, fill: number): Value => {
      const [q, k, v] = [0, 1, 2].map(() => split(s, linear(s, input)))
      const scores = op.Add(op.MatMul(q!, transpose(s, k!)), additive(s, mask, fill))
      return merge(s, op.MatMul(op.Softmax(scores, { axis: -1 }), v!))
    }
    return layer(layer(x, -30000), -10000)
  })
  await fuseAttention(model)
  const fused = [...model.allNodes()].filter(({ opType }) => opType === 'Attention')
  expect(fused.map((node) => node.float('mask_filter_value', -10000))).toEqual([-30000, -10000])
})

const misses: Record<string, [string, Dialect]> = {
  'a Softmax over another axis': ['normalises another axis', { softmax: ({ op }, x) => op.Softmax(x, { axis: 2 }) }],
  'scores that something else reads': ['is read by', { scores: ({ op }, x) => op.Add(x, op.Sigmoid(x)) }],
  'scores that are no product': ['is not made of a product', { scores: ({ op }, x) => op.Sigmoid(x) }],
  'positions that depend on the query': [
    'disentangled attention',
    {
      scores: (s, x) => {
        const positions = s.op.MatMul(s.input('q', ['batch', HEADS, 'sequence', SIZE]), s.weight([SIZE, 7]))
        const indices = s.input('indices', ['batch', HEADS, 'sequence', 'sequence'], 'int64')
        return s.op.Add(x, s.op.GatherElements(positions, indices, { axis: -1 }))
      },
    },
  ],
  'a fill that whole rows would feel': [
    'rows that are masked as a whole would feel',
    {
      scores: (s, x, mask) => {
        const seen = s.op.Cast(s.op.Unsqueeze(mask, [1, 2]), { to: codeOf('bool') })
        return s.op.Where(seen, x, constant(s, -50))
      },
    },
  ],
  'probabilities set to zero where scores count': [
    'zeroes probabilities of scores that count',
    {
      softmax: (s, x) =>
        s.op.Where(hidden(s, s.input('other', ['batch', 'sequence'], 'int64')), constant(s, 0), s.op.Softmax(x)),
    },
  ],
  'scores times what is no mask': [
    'no mask of 0 and 1',
    { scores: (s, x) => s.op.Add(s.op.Mul(x, s.weight([1, HEADS, 3, 3])), s.weight([3])) },
  ],
  'a fill that differs from place to place': [
    'more than one number',
    {
      scores: (s, x, mask) =>
        s.op.Where(s.op.Cast(s.op.Unsqueeze(mask, [1, 2]), { to: codeOf('bool') }), x, s.weight([3])),
    },
  ],
}

describe('what is no attention', () => {
  test('where the target has no operator for it', async () => {
    const model = await attention({})
    const before = opsOf(model)
    const { nearMisses } = await fuseAttention(model, [[sdpa]], { allows: () => false })
    expect(opsOf(model)).toBe(before)
    expect(nearMisses.map(({ message }) => message).join()).toContain("which the target can't run")
  })

  test.each(Object.entries(misses))('%s', async (_, [reason, dialect]) => {
    const model = await attention(dialect)
    const before = opsOf(model)
    const { nearMisses } = await fuseAttention(model, [[sdpa]])
    expect(opsOf(model)).toBe(before)
    const reasons = [...nearMisses, ...explain(model, [sdpa])].map(({ message }) => message)
    expect(reasons.join('\n')).toContain(reason)
  })
})
