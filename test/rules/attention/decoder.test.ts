import { describe, expect, test } from 'vitest'
import type { Model } from '../../../src/graph/model.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import type { Value } from '../../../src/graph/value.ts'
import { codeOf } from '../../../src/onnx/dtypes.ts'
import { run } from '../../../src/passes/fuse/run.ts'
import { type Rule, rewrite } from '../../../src/rewrite/index.ts'
import { attentionPhases, plainAttention } from '../../../src/rules/attention/index.ts'
import { difference, type Feeds, fuseAttention, ort, withMasks } from '../../support/attention.ts'
import { passContext } from '../../support/models.ts'
import { draw, randomFeeds, type Sketch } from '../../support/rules.ts'

const HEADS = 4
const SIZE = 8
const MINIMUM = -3.4028234663852886e38
const GQA = 'com.microsoft:GroupQueryAttention'
const MHA = 'com.microsoft:MultiHeadAttention'

interface Decoder {
  /** Heads of keys and values. */
  shared?: number
  /** How one head of keys is made to serve several of the query. */
  share?: (s: Sketch, x: Value) => Value
  past?: boolean
  /** What the lengths of batch and query are, where they do not vary. */
  batch?: number
  length?: number
  /** The mask of the scores. */
  masked?: (s: Sketch, scores: Value, causal: Value, mask: Value, key: Value) => Value
  softmax?: (s: Sketch, scores: Value) => Value
  opset?: number
}

const split = ({ op }: Sketch, x: Value, heads: number): Value =>
  op.Transpose(op.Reshape(x, [0, 0, heads, SIZE]), { perm: [0, 2, 1, 3] })
const scalar = (s: Sketch, number: number): Value => s.constant(Tensor.float32([], [number]))
const integer = (s: Sketch, number: number): Value => s.constant(Tensor.int64([number], []))

const join = (s: Sketch, axis: number, ...parts: Value[]): Value =>
  s.create({ op: 'Concat', inputs: parts, attributes: { axis } })[0]!

const repeated = (s: Sketch, x: Value, times: number): Value => {
  const wide = s.op.Expand(s.op.Unsqueeze(x, [2]), [1, 1, times, 1, 1])
  return s.op.Reshape(wide, [0, HEADS, -1, SIZE])
}

/** Positions of keys up to the query's, [S, T], and the padding mask [batch, 1, 1, T], both as truth values. */
function masks(s: Sketch, key: Value, query: Value, mask: Value): [Value, Value] {
  const { op } = s
  const [length, total] = [query, key].map((x) => op.Gather(op.Shape(x), integer(s, 2)))
  const rows = op.Range(op.Sub(total!, length!), total!, integer(s, 1))
  const columns = op.Range(integer(s, 0), total!, integer(s, 1))
  const causal = op.LessOrEqual(op.Unsqueeze(columns, [0]), op.Unsqueeze(rows, [1]))
  return [op.Unsqueeze(causal, [0, 1]), op.Cast(op.Unsqueeze(mask, [1, 2]), { to: codeOf('bool') })]
}

const fill = (s: Sketch, seen: Value, number: number): Value => s.op.Where(seen, scalar(s, 0), scalar(s, number))
const causalOnly: Decoder['masked'] = (s, scores, causal) => s.op.Add(scores, fill(s, causal, MINIMUM))
const capped: Decoder['masked'] = (s, scores, causal, mask) => {
  const bounded = s.op.Mul(s.op.Tanh(s.op.Div(scores, scalar(s, 1.5))), scalar(s, 1.5))
  return s.op.Add(bounded, fill(s, s.op.And(causal, mask), MINIMUM))
}
const guarded: Pick<Decoder, 'masked' | 'softmax'> = {
  masked: (s, scores, causal, mask) => s.op.Add(scores, fill(s, s.op.And(causal, mask), Number.NEGATIVE_INFINITY)),
  softmax: (s, scores) => {
    const softmax = s.op.Softmax(scores, { axis: -1 })
    return s.op.Where(s.op.IsNaN(softmax), scalar(s, 0), softmax)
  },
}

function decoder(options: Decoder): Promise<Model> {
  const { shared = 2, past, batch = 'batch', length = 'sequence' } = options
  return draw(
    (s) => {
      const { op } = s
      const x = s.input('x', [batch, length, HEADS * SIZE])
      const mask = s.input('attention_mask', [batch, past ? 'total' : length], 'int64')
      const project = (heads: number): Value =>
        split(s, op.MatMul(x, s.weight([HEADS * SIZE, heads * SIZE], { scale: 0.3 })), heads)
      const query = project(HEADS)
      const cached = ['key', 'value'].map((name) => {
        const fresh = project(shared)
        if (!past) return fresh
        const earlier = s.input(`past.${name}`, [batch, shared, 'past', SIZE])
        return s.create({ op: 'Concat', inputs: [earlier, fresh], attributes: { axis: -2 } })[0]!
      })
      const share = options.share ?? ((_: Sketch, value: Value) => repeated(s, value, HEADS / shared))
      const [key, value] = cached.map((one) => (shared === HEADS ? one : share(s, one)))
      const scores = op.Mul(op.MatMul(query, op.Transpose(key!, { perm: [0, 1, 3, 2] })), SIZE ** -0.5)
      const [causal, padding] = masks(s, cached[0]!, query, mask)
      const masked =
        options.masked?.(s, scores, causal, padding, cached[0]!) ??
        op.Add(scores, fill(s, op.And(causal, padding), MINIMUM))
      const softmax = options.softmax?.(s, masked) ?? op.Softmax(masked, { axis: -1 })
      const merged = op.Reshape(op.Transpose(op.MatMul(softmax, value!), { perm: [0, 2, 1, 3] }), [0, 0, HEADS * SIZE])
      return past ? [merged, ...cached] : [merged]
    },
    { opset: options.opset ?? 17 },
  )
}

/** Two batches, two lengths, with keys of earlier steps and without, and every kind of mask. */
function casesOf(model: Model, { batch, length, past }: Decoder): Feeds[] {
  const sizes = [1, 3].flatMap((b) => [4, 1].flatMap((l) => (past ? [3, 0] : [0]).map((p) => [b, l, p] as const)))
  return sizes.flatMap(([b, l, p]) => {
    const total = (length ?? l) + p
    const feeds = randomFeeds(model, { batch: batch ?? b, sequence: length ?? l, past: p, total })
    return withMasks({
      ...feeds,
      attention_mask: Tensor.from('int64', [batch ?? b, total], Array((batch ?? b) * total).fill(1)),
    })
  })
}

const usual = attentionPhases.filter(({ onRequest }) => !onRequest).map(({ rules }) => rules)
const asked: (readonly Rule[])[] = attentionPhases
  .filter(({ group, onRequest }) => !onRequest || group === 'group-query-attention')
  .map(({ rules }) => rules)

/** The operators of attention that a model gets, and the largest difference over cases. */
async function fused(
  options: Decoder,
  phases = usual,
  isCase: (feeds: Feeds) => boolean = () => true,
): Promise<[string[], number]> {
  const model = await decoder(options)
  const original = await ort.open(model)
  const cases = casesOf(model, options).filter(isCase)
  await fuseAttention(model, phases)
  const appends = [...model.graph.nodes()].some((node) => node.is('Concat') && node.output().isFloat)
  const operators = Object.keys(model.histogram()).filter((op) => /Attention$|Softmax/.test(op))
  if (appends) operators.push('Concat')
  const session = await ort.open(model)
  let worst = 0
  for (const feeds of cases) worst = Math.max(worst, difference(await original.run(feeds), await session.run(feeds)))
  await original.release()
  await session.release()
  return [operators, worst]
}

const forms: Record<string, Decoder> = {
  'repeated by Expand': {},
  'repeated by Tile': {
    share: (s, x) => s.op.Reshape(s.op.Tile(s.op.Unsqueeze(x, [2]), [1, 1, 2, 1, 1]), [0, HEADS, -1, SIZE]),
  },
  'one head for all, by broadcasting': { shared: 1, share: (_, x) => x },
  'one head for all, by Expand': { shared: 1, share: (s, x) => s.op.Expand(x, [1, HEADS, 1, 1]) },
}

describe('heads of keys and values that several of the query share', () => {
  test.each(Object.entries(forms))('%s', async (_, form) => {
    for (const past of [false, true]) {
      const [operators, worst] = await fused({ ...form, past })
      expect(operators.filter((op) => op !== 'Concat')).toEqual([MHA])
      expect(worst).toBeLessThanOrEqual(1e-4)
    }
  })

  test('heads that are not shared by neighbours are repeated as the model does it', async () => {
    const interleaved = (s: Sketch, x: Value): Value =>
      s.op.Reshape(s.op.Expand(s.op.Unsqueeze(x, [1]), [1, 2, 1, 1, 1]), [0, HEADS, -1, SIZE])
    const [operators, worst] = await fused({ share: interleaved, masked: causalOnly })
    expect(operators).toEqual([MHA])
    expect(worst).toBeLessThanOrEqual(1e-4)
  })
})

describe('GroupQueryAttention', () => {
  test.each([
    ['where no mask can hide all keys of a row', { masked: causalOnly }, GQA],
    ['where such rows are guarded against', guarded, GQA],
    ['one head for all', { ...forms['one head for all, by broadcasting'], masked: causalOnly }, GQA],
    ['one token at a time', { masked: causalOnly, past: true, length: 1 }, GQA],
    ['one sequence at a time', { masked: causalOnly, past: true, batch: 1 }, GQA],
    ['not where rows may see nothing', {}, MHA],
    ['not for several tokens of several sequences after earlier ones', { masked: causalOnly, past: true }, MHA],
    ['not where later keys are seen', { masked: (s, x, _, mask) => s.op.Add(x, fill(s, mask, MINIMUM)) }, MHA],
    ['not where heads are not shared', { shared: HEADS, masked: causalOnly }, 'com.microsoft:Attention'],
  ] as [string, Decoder, string][])('%s', async (_, options, op) => {
    const [operators, worst] = await fused(options)
    expect(operators.filter((name) => name !== 'Concat')).toEqual([op])
    expect(worst).toBeLessThanOrEqual(1e-4)
  })

  const written: Record<string, (s: Sketch, key: Value) => Value> = {
    'a triangle of a tensor that is made': (s, key) => {
      const total = s.op.Slice(s.op.Shape(key), [2], [3], [0])
      const ones = s.create({
        op: 'ConstantOfShape',
        inputs: [join(s, 0, total, total)],
        attributes: { value: { kind: 'tensor', value: Tensor.float32([1], [MINIMUM]) } },
      })[0]!
      return s.op.Unsqueeze(s.op.Trilu(ones, integer(s, 1), { upper: 1 }), [0, 1])
    },
    'a piece of a constant triangle': (s, key) => {
      const total = s.op.Slice(s.op.Shape(key), [2], [3], [0])
      const seen = Array.from({ length: 256 }, (_, i) => (i % 16 <= Math.floor(i / 16) ? 0 : MINIMUM))
      const rows = s.op.Slice(s.constant(Tensor.float32([1, 1, 16, 16], seen), 'mask'), [0], total, [2])
      return s.op.Slice(rows, [0], total, [3])
    },
    'written over a tensor': (s, key) => {
      const [, , total] = [0, 1, 2].map((axis) => s.op.Slice(s.op.Shape(key), [axis], [axis + 1], [0]))
      const end = s.op.Squeeze(total!, [0])
      const places = s.op.Range(integer(s, 0), end, integer(s, 1))
      const [rows, columns] = [s.op.Unsqueeze(places, [1]), s.op.Unsqueeze(places, [0])]
      const size = join(s, 0, total!, total!)
      const indices = join(s, -1, ...[rows, columns].map((one) => s.op.Unsqueeze(s.op.Expand(one, size), [2])))
      const hidden = s.op.Where(s.op.Greater(columns, rows), scalar(s, MINIMUM), scalar(s, 0))
      return s.op.Unsqueeze(s.op.ScatterND(s.op.Expand(scalar(s, 1), size), indices, hidden), [0, 1])
    },
  }
  test.each(Object.entries(written))('where the mask is %s', async (_, make) => {
    const [operators, worst] = await fused({
      masked: (s, scores, _causal, _mask, key) => s.op.Add(scores, make(s, key)),
    })
    expect(operators).toEqual([GQA])
    expect(worst).toBeLessThanOrEqual(1e-4)
  })

  test('on request, right for every mask that leaves each row a key', async () => {
    const isSeen = (feeds: Feeds): boolean => {
      const { dims } = feeds['attention_mask']!
      const numbers = feeds['attention_mask']!.toNumbers()
      return Array.from({ length: dims[0]! }, (_, row) => numbers[row * dims[1]!]).every((first) => first === 1)
    }
    const [operators, worst] = await fused({}, asked, isSeen)
    expect(operators).toEqual([GQA])
    expect(worst).toBeLessThanOrEqual(1e-4)
    const isStep = (feeds: Feeds): boolean => isSeen(feeds) && (feeds['x']!.dims[0] === 1 || feeds['x']!.dims[1] === 1)
    const [bounded, error] = await fused({ masked: capped }, asked, isSeen)
    expect(bounded).toEqual([GQA])
    expect(error).toBeLessThanOrEqual(1e-4)
    const [appended, difference] = await fused({ past: true }, asked, isStep)
    expect(appended).toEqual([GQA])
    expect(difference).toBeLessThanOrEqual(1e-4)
  })

  test.each([
    [
      'is not known to hide what comes later',
      { masked: (s, x, seen) => s.op.Add(x, fill(s, s.op.Not(seen), MINIMUM)) },
    ],
    ['has a mask that may hide all keys of a row', {}],
    ['takes several tokens of several sequences after earlier ones', { masked: causalOnly, past: true }],
  ] as [string, Decoder][])('is not chosen: %s', async (reason, options) => {
    const { nearMisses } = await fuseAttention(await decoder(options))
    const reasons = nearMisses.filter(({ rule }) => rule.startsWith('group-query')).map(({ message }) => message)
    expect(reasons.join('\n')).toContain(reason)
  })
})

test.each([
  ['cpu', GQA],
  ['wasm', GQA],
  ['cuda', MHA],
  ['webgpu', MHA],
])('on %s shared heads get the operator whose kernel takes the mask', async (device, op) => {
  const model = await decoder({ masked: causalOnly })
  const { fused: counts } = await run(model, { fuse: 'auto' }, passContext({ device }))
  expect(counts).toEqual({ [op.split(':')[1]!]: 1 })
  const asked = await decoder({})
  await run(asked, { fuse: 'auto', attentionOp: 'GroupQueryAttention' }, passContext({ device }))
  expect(asked.histogram()[GQA]).toBe(op === GQA ? 1 : undefined)
})

describe('Attention of the standard', () => {
  test.each([
    ['shared heads', {}],
    ['shared heads after earlier tokens', { past: true }],
    ['heads of their own after earlier tokens', { shared: HEADS, past: true }],
    ['rows without keys that become zeros', guarded],
    ['scores that are bounded', { masked: capped }],
    ['a mask of padding alone', { masked: (s, x, _, mask) => s.op.Add(x, fill(s, mask, MINIMUM)) }],
  ] as [string, Decoder][])('%s', async (_, options) => {
    const [operators, worst] = await fused({ ...options, opset: 23 })
    expect(operators).toEqual(['Attention'])
    expect(worst).toBeLessThanOrEqual(1e-4)
  })

  test('not where rows without keys are NaN', async () => {
    const { softmax: _, ...unguarded } = guarded
    const model = await decoder({ ...unguarded, opset: 23 })
    const { nearMisses } = await fuseAttention(model)
    expect(model.histogram()[MHA]).toBe(1)
    expect(nearMisses.map(({ message }) => message).join()).toContain('has rows of NaN that would become zeros')
  })

  test('bounded scores stay as they are below opset 23, and are said to', async () => {
    const options = { masked: capped }
    const model = await decoder(options)
    const { nearMisses } = await fuseAttention(model)
    expect(nearMisses.map(({ message }) => message).join()).toContain('bounds its scores (softcap)')
    const original = await ort.open(await decoder(options))
    rewrite(model, [[plainAttention]])
    const session = await ort.open(model)
    for (const feeds of casesOf(model, options))
      expect(difference(await original.run(feeds), await session.run(feeds))).toBeLessThanOrEqual(1e-4)
    await original.release()
    await session.release()
  })

  test('not below opset 23', async () => {
    expect((await fused({ opset: 22 }))[0]).toEqual([MHA])
  })
})
