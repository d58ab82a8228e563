import { describe, expect, test } from 'vitest'
import type { Model } from '../../../src/graph/model.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import type { Value } from '../../../src/graph/value.ts'
import { codeOf } from '../../../src/onnx/dtypes.ts'
import { einsumProjection, partedBias } from '../../../src/rules/attention/prepare/einsum-projection.ts'
import { fuseAttention, ort } from '../../support/attention.ts'
import { draw, expectClose, expectRefusal, opsOf, randomFeeds, type Sketch } from '../../support/rules.ts'

const HEADS = 4
const SIZE = 8
const HIDDEN = HEADS * SIZE
const LENGTH = 6

const float = (s: Sketch, x: Value): Value => s.op.Cast(x, { to: codeOf('float32') })
const weight = (s: Sketch, ...dims: number[]): Value => s.weight(dims, { scale: 0.3 })

/** Rows as a matrix, times weights, plus bias. */
function dense(s: Sketch, x: Value, columns = HIDDEN): Value {
  const rows = s.op.Reshape(x, [-1, HIDDEN])
  return s.op.Add(s.op.MatMul(rows, weight(s, HIDDEN, columns)), s.weight([columns]))
}
const heads = ({ op }: Sketch, rows: Value): Value =>
  op.Transpose(op.Reshape(rows, [-1, LENGTH, HEADS, SIZE]), { perm: [0, 2, 1, 3] })
const turned = ({ op }: Sketch, k: Value): Value => op.Transpose(k, { perm: [0, 1, 3, 2] })
const merged = ({ op }: Sketch, y: Value): Value => op.Reshape(op.Transpose(y, { perm: [0, 2, 1, 3] }), [-1, HIDDEN])

/** BERT of TensorFlow: a mask for every pair of words, made by a product with ones. */
function bertTf(s: Sketch): Value {
  const { op } = s
  const x = s.input('x', ['batch', LENGTH, HIDDEN])
  const mask = s.input('mask', ['batch', LENGTH], 'int32')
  const [q, k, v] = [0, 1, 2].map(() => heads(s, dense(s, x)))
  const wide = float(s, op.Reshape(mask, [-1, 1, LENGTH]))
  const pairs = op.Mul(s.constant(Tensor.float32([1, LENGTH, 1], Array(LENGTH).fill(1))), wide)
  const bias = op.Mul(op.Sub(1, op.Unsqueeze(pairs, [1])), -10000)
  const scores = op.Add(op.Mul(op.MatMul(q!, turned(s, k!)), SIZE ** -0.5), bias)
  const y = merged(s, op.MatMul(op.Softmax(scores, { axis: 3 }), v!))
  return op.Reshape(dense(s, y), [-1, LENGTH, HIDDEN])
}

/** BERT of TensorFlow's model garden and of Keras: everything is an Einsum, heads are an axis of the weights. */
function bertKeras(s: Sketch): Value {
  const { op } = s
  const x = s.input('x', ['batch', 'length', HIDDEN])
  const mask = s.input('mask', ['batch', 'length'], 'int64')
  const project = (): Value =>
    op.Add(op.Einsum(x, weight(s, HIDDEN, HEADS, SIZE), { equation: 'abc,cde->abde' }), s.weight([HEADS, SIZE]))
  const [q, k, v] = [project(), project(), project()]
  const scores = op.Einsum(k, op.Mul(q, SIZE ** -0.5), { equation: 'aecd,abcd->acbe' })
  const bias = op.Mul(op.Sub(1, float(s, op.Unsqueeze(mask, [1, 2]))), -1e9)
  const softmax = op.Softmax(op.Add(scores, bias), { axis: -1 })
  const y = op.Einsum(softmax, v, { equation: 'acbe,aecd->abcd' })
  return op.Add(op.Einsum(y, weight(s, HEADS, SIZE, HIDDEN), { equation: 'abcd,cde->abe' }), s.weight([HIDDEN]))
}

/** GPT-2 of TensorFlow: one product that is split, and a causal mask by which scores are multiplied. */
function gpt2Tf(s: Sketch): Value {
  const { op } = s
  const x = s.input('x', ['batch', LENGTH, HIDDEN])
  const packed = op.Reshape(dense(s, x, 3 * HIDDEN), [-1, LENGTH, 3 * HIDDEN])
  const sizes = [HIDDEN, HIDDEN, HIDDEN]
  const [q, k, v] = s.create({ op: 'Split', inputs: [packed, sizes], attributes: { axis: 2 }, outputs: 3 })
  const scores = op.Div(op.MatMul(heads(s, q!), turned(s, heads(s, k!))), Math.sqrt(SIZE))
  const triangle = Array.from({ length: 64 }, (_, i) => (i % 8 <= Math.floor(i / 8) ? 1 : 0))
  const all = s.constant(Tensor.float32([1, 1, 8, 8], triangle))
  const seen = op.Slice(all, [0, 0], [LENGTH, LENGTH], [2, 3])
  const masked = op.Sub(op.Mul(scores, seen), op.Mul(op.Sub(1, seen), 10000))
  const y = merged(s, op.MatMul(op.Softmax(masked, { axis: -1 }), heads(s, v!)))
  return op.Reshape(dense(s, y), [-1, LENGTH, HIDDEN])
}

/** Megatron: query and key are divided by the fourth root of their size; the mask has four axes and is the caller's. */
function megatron(s: Sketch): Value {
  const { op } = s
  const x = s.input('x', ['batch', LENGTH, HIDDEN])
  const mask = s.input('mask', ['batch', 1, LENGTH, LENGTH])
  const packed = op.Add(op.MatMul(x, weight(s, HIDDEN, 3 * HIDDEN)), s.weight([3 * HIDDEN]))
  const sizes = [HIDDEN, HIDDEN, HIDDEN]
  const [q, k, v] = s.create({ op: 'Split', inputs: [packed, sizes], attributes: { axis: 2 }, outputs: 3 })
  const root = SIZE ** 0.25
  const product = op.MatMul(op.Div(heads(s, q!), root), turned(s, op.Div(heads(s, k!), root)))
  const scores = op.Sub(op.Mul(product, mask), op.Mul(op.Sub(1, mask), 10000))
  return merged(s, op.MatMul(op.Softmax(scores, { axis: 3 }), heads(s, v!)))
}

/** TNLR: the length first, one projection cut by Slices, a table of relative positions added. */
function tnlr(s: Sketch): Value {
  const { op } = s
  const x = s.input('x', [LENGTH, 'batch', HIDDEN])
  const packed = op.Add(op.MatMul(x, weight(s, HIDDEN, 3 * HIDDEN)), s.weight([3 * HIDDEN]))
  const [q, k, v] = [0, 1, 2].map((i) => {
    const part = op.Slice(packed, [i * HIDDEN], [(i + 1) * HIDDEN], [2])
    return op.Transpose(op.Reshape(part, [LENGTH, -1, SIZE]), { perm: [1, 0, 2] })
  })
  const product = op.MatMul(op.Mul(q!, SIZE ** -0.5), op.Transpose(k!, { perm: [0, 2, 1] }))
  const scores = op.Add(op.Reshape(product, [-1, HEADS, LENGTH, LENGTH]), s.weight([1, HEADS, LENGTH, LENGTH]))
  const softmax = op.Softmax(op.Reshape(scores, [-1, LENGTH, LENGTH]), { axis: -1 })
  return op.Reshape(op.Transpose(op.MatMul(softmax, v!), { perm: [1, 0, 2] }), [LENGTH, -1, HIDDEN])
}

/** Conformer: what relative positions add is a product of the query (plus a bias of its own) and of embeddings, shifted by row. */
function conformer(s: Sketch): Value {
  const { op } = s
  const x = s.input('x', ['batch', LENGTH, HIDDEN])
  const project = (from: Value): Value => op.Reshape(op.MatMul(from, weight(s, HIDDEN, HIDDEN)), [0, -1, HEADS, SIZE])
  const stand = (value: Value): Value => op.Transpose(value, { perm: [0, 2, 1, 3] })
  const q = project(x)
  const positions = stand(project(s.weight([1, LENGTH, HIDDEN])))
  const content = op.MatMul(stand(op.Add(q, s.weight([HEADS, SIZE]))), turned(s, stand(project(x))))
  const position = op.MatMul(stand(op.Add(q, s.weight([HEADS, SIZE]))), turned(s, positions))
  // Shift: a column of zeros in front, cut anew into rows, the first row off.
  const pads = s.constant(Tensor.int64([0, 0, 0, 1, 0, 0, 0, 0]))
  const cut = op.Reshape(op.Pad(position, pads), [0, HEADS, LENGTH + 1, LENGTH])
  const shifted = op.Reshape(op.Slice(cut, [1], [LENGTH + 1], [2]), [0, HEADS, LENGTH, LENGTH])
  const scores = op.Mul(op.Add(content, shifted), SIZE ** -0.5)
  const y = op.MatMul(op.Softmax(scores, { axis: -1 }), stand(project(x)))
  return op.Reshape(stand(y), [0, -1, HIDDEN])
}

const dialects: Record<string, [string, (s: Sketch) => Value]> = {
  'BERT by tf2onnx': ['com.microsoft:Attention', bertTf],
  'BERT of Keras by tf2onnx': ['com.microsoft:Attention', bertKeras],
  'GPT-2 by tf2onnx': ['com.microsoft:Attention', gpt2Tf],
  Megatron: ['com.microsoft:Attention', megatron],
  TNLR: ['com.microsoft:Attention', tnlr],
  Conformer: ['com.microsoft:MultiHeadAttention', conformer],
}

const MASKS = [
  [1, 1, 1, 1, 1, 1],
  [0, 0, 1, 1, 1, 1],
  [1, 0, 1, 0, 1, 1],
  [1, 1, 1, 0, 0, 0],
]

/** Feeds with a mask of zeros and ones; one with four axes hides later words too. */
function feedsFor(model: Model, batch: number, mask: readonly number[]): Record<string, Tensor> {
  const feeds = randomFeeds(model, { batch, length: LENGTH })
  const given = feeds['mask']
  if (given) {
    const square = given.dims.length === 4
    const numbers = given.toNumbers().map((_, i) => {
      const [row, column] = [Math.floor(i / LENGTH) % LENGTH, i % LENGTH]
      return square && column !== row ? (column < row ? mask[column]! : 0) : square ? 1 : mask[column]!
    })
    feeds['mask'] = Tensor.from(given.dtype!, given.dims, numbers)
  }
  return feeds
}

describe('attention as converters of other frameworks write it', () => {
  test.each(Object.entries(dialects))('%s', async (_, [operator, body]) => {
    const model = await draw(body)
    const before = await Promise.all(
      [1, 3].flatMap((batch) =>
        MASKS.map(async (mask) => {
          const feeds = feedsFor(model, batch, mask)
          return { feeds, expected: await ort.evaluate(model, feeds) }
        }),
      ),
    )
    await fuseAttention(model)
    expect(model.histogram()).toMatchObject({ [operator]: 1 })
    expect(opsOf(model)).not.toContain('Softmax')
    for (const { feeds, expected } of before) expectClose(await ort.evaluate(model, feeds), expected, 1e-4)
  })
})

describe('einsum-projection, parted-bias: near misses', () => {
  const make = (equation: string, dims: readonly number[], x = ['batch', 5, 8] as const): Promise<Model> =>
    draw((s) => s.op.Einsum(s.input('x', x), s.weight(dims), { equation }))

  test('other equations', async () => {
    expectRefusal(await make('abc,dec->abde', [2, 4, 8]), einsumProjection, 'is no projection of the last axes')
    expectRefusal(await make('abc,cde->dabe', [8, 2, 4]), einsumProjection, 'is no projection of the last axes')
    expectRefusal(await make('abc,bcd->abd', [5, 8, 4]), einsumProjection, 'is no projection of the last axes')
    expectRefusal(await make('...c,cd->...d', [8, 4]), einsumProjection, 'has an equation with dots')
  })

  test('weights that are computed', async () => {
    const model = await draw((s) =>
      s.op.Einsum(s.input('x', [2, 5, 8]), s.input('w', [8, 2, 4]), { equation: 'abc,cde->abde' }),
    )
    expectRefusal(model, einsumProjection, 'expected a constant')
  })

  test('a bias of other axes', async () => {
    const add = (dims: readonly number[], sizes: readonly number[]): Promise<Model> =>
      draw((s) => s.op.Add(s.op.Reshape(s.input('x', [2, 5, 8]), sizes), s.weight(dims)))
    expectRefusal(await add([4], [0, 0, 2, 4]), partedBias, 'is no bias of parted columns')
    expectRefusal(await add([2, 4], [0, -1, 2, 4]), partedBias, 'is no bias of parted columns')
    expectRefusal(await add([1, 4], [0, 0, 2, 4]), partedBias, 'is no bias of parted columns')
  })
})
