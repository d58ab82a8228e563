import { describe, expect, test } from 'vitest'
import { Tensor } from '../../../../src/graph/tensor.ts'
import type { Value } from '../../../../src/graph/value.ts'
import { fuseAttention, ort } from '../../../support/attention.ts'
import { draw, expectClose, randomFeeds, type Sketch } from '../../../support/rules.ts'

const HEADS = 4
const SIZE = 8
const HIDDEN = HEADS * SIZE

const integer = (s: Sketch, number: number): Value => s.constant(Tensor.int64([number], []))
const join = (s: Sketch, axis: number, ...parts: Value[]): Value =>
  s.create({ op: 'Concat', inputs: parts, attributes: { axis } })[0]!
const heads = ({ op }: Sketch, x: Value): Value =>
  op.Transpose(op.Reshape(x, [0, 0, HEADS, SIZE]), { perm: [0, 2, 1, 3] })

/** What is cached of keys and values, and how: gives [key, value, outputs]. */
type Cache = (s: Sketch, key: Value, value: Value) => [Value, Value, Value[]]

const stacked = (s: Sketch, key: Value, value: Value): Value =>
  join(s, 0, s.op.Unsqueeze(key, [0]), s.op.Unsqueeze(value, [0]))
const stack = (s: Sketch): Value => s.input('past', [2, 'batch', HEADS, 'past', SIZE])

const caches: Record<string, Cache> = {
  'two tensors': (s, k, v) => {
    const [pastKey, pastValue] = ['key', 'value'].map((name) => s.input(name, ['batch', HEADS, 'past', SIZE]))
    const [key, value] = [join(s, 2, pastKey!, k), join(s, -2, pastValue!, v)]
    return [key, value, [key, value]]
  },
  'one tensor, taken apart with Gather': (s, k, v) => {
    const past = stack(s)
    const [key, value] = [k, v].map((x, i) => join(s, -2, s.op.Gather(past, integer(s, i)), x))
    return [key!, value!, [stacked(s, key!, value!)]]
  },
  'one tensor, taken apart with Split': (s, k, v) => {
    const parts = s.create({ op: 'Split', inputs: [stack(s), [1, 1]], attributes: { axis: 0 }, outputs: 2 })
    const [key, value] = [k, v].map((x, i) => join(s, 2, s.op.Squeeze(parts[i]!, [0]), x))
    return [key!, value!, [stacked(s, key!, value!)]]
  },
  'one tensor, taken apart with Slice': (s, k, v) => {
    const past = stack(s)
    const [key, value] = [k, v].map((x, i) => join(s, 2, s.op.Squeeze(s.op.Slice(past, [i], [i + 1], [0]), [0]), x))
    return [key!, value!, [stacked(s, key!, value!)]]
  },
}

function decoder(cache: Cache, product: (s: Sketch, q: Value, key: Value) => Value): ReturnType<typeof draw> {
  return draw((s) => {
    const { op } = s
    const x = s.input('x', ['batch', 'sequence', HIDDEN])
    const [q, k, v] = s.create({
      op: 'Split',
      inputs: [
        op.Add(op.MatMul(x, s.weight([HIDDEN, 3 * HIDDEN], { scale: 0.3 })), s.weight([3 * HIDDEN])),
        [HIDDEN, HIDDEN, HIDDEN],
      ],
      attributes: { axis: 2 },
      outputs: 3,
    })
    const [key, value, outputs] = cache(s, heads(s, k!), heads(s, v!))
    const query = heads(s, q!)
    const [length, total] = [query, key].map((one) => op.Gather(op.Shape(one), integer(s, 2)))
    const rows = op.Range(op.Sub(total!, length!), total!, integer(s, 1))
    const columns = op.Range(integer(s, 0), total!, integer(s, 1))
    const causal = op.LessOrEqual(op.Unsqueeze(columns, [0]), op.Unsqueeze(rows, [1]))
    const scores = op.Where(
      causal,
      op.Mul(product(s, query, key), SIZE ** -0.5),
      s.constant(Tensor.float32([], [-1e4])),
    )
    const weighted = op.MatMul(op.Softmax(scores, { axis: -1 }), value)
    return [op.Reshape(op.Transpose(weighted, { perm: [0, 2, 1, 3] }), [0, 0, HIDDEN]), ...outputs]
  })
}

const plain = ({ op }: Sketch, q: Value, key: Value): Value => op.MatMul(q, op.Transpose(key, { perm: [0, 1, 3, 2] }))

/** Keys that are kept transposed while they are appended. */
const transposed: Cache = (s, k, v) => {
  const past = stack(s)
  const turn = (x: Value): Value => s.op.Transpose(x, { perm: [0, 1, 3, 2] })
  const key = turn(join(s, -1, turn(s.op.Gather(past, integer(s, 0))), turn(k)))
  const value = join(s, -2, s.op.Gather(past, integer(s, 1)), v)
  return [key, value, [stacked(s, key, value)]]
}

describe('keys and values of earlier steps', () => {
  test.each([...Object.entries(caches), ['keys that are appended transposed', transposed] as const])(
    '%s',
    async (_, cache) => {
      const model = await decoder(cache, plain)
      const cases = [
        [1, 3, 0],
        [1, 1, 4],
        [3, 1, 4],
        [3, 2, 5],
      ].map(([batch, sequence, past]) => randomFeeds(model, { batch: batch!, sequence: sequence!, past: past! }))
      const original = await ort.open(model)
      await fuseAttention(model)
      expect(model.histogram()['com.microsoft:MultiHeadAttention']).toBe(1)
      const appends = [...model.graph.nodes()].filter((node) => node.is('Concat') && node.output().isFloat)
      // Only the tensor of both is put together outside.
      expect(appends.map((node) => node.int('axis'))).toEqual(cache === caches['two tensors'] ? [] : [0])
      const session = await ort.open(model)
      for (const feeds of cases) expectClose(await session.run(feeds), await original.run(feeds), 1e-4)
      await original.release()
      await session.release()
    },
  )
})
