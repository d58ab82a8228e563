import { describe, expect, test } from 'vitest'
import type { Model } from '../../../../src/graph/model.ts'
import { Tensor } from '../../../../src/graph/tensor.ts'
import type { Value } from '../../../../src/graph/value.ts'
import { codeOf } from '../../../../src/onnx/dtypes.ts'
import { explain, type Rule } from '../../../../src/rewrite/index.ts'
import { rotaryJoined, rotarySum } from '../../../../src/rules/attention/rotary/index.ts'
import { fuseAttention, ort } from '../../../support/attention.ts'
import { draw, expectClose, randomFeeds, type Sketch } from '../../../support/rules.ts'

const HEADS = 4
const SIZE = 8
const phases: Rule[][] = [[rotaryJoined], [rotarySum]]

/** Cosines and sines for positions, as a model computes them. */
interface Angles {
  cos: Value
  sin: Value
}

const float = codeOf('float32')
const half = ({ op }: Sketch, x: Value, from: number, to: number, step = 1): Value =>
  op.Slice(x, [from], [to], [-1], [step])

/** positions [?, S] -> angles [?, S, count] */
function angles({ op, constant }: Sketch, positions: Value, count: number): Value {
  const frequencies = Tensor.float32(
    [1, 1, count],
    Array.from({ length: count }, (_, i) => 0.5 / (i + 1)),
  )
  return op.Mul(op.Unsqueeze(op.Cast(positions, { to: float }), [2]), constant(frequencies, 'frequencies'))
}

const waves = ({ op }: Sketch, angle: Value): Angles => ({ cos: op.Cos(angle), sin: op.Sin(angle) })
const twice = ({ create }: Sketch, x: Value): Value =>
  create({ op: 'Concat', inputs: [x, x], attributes: { axis: -1 } })[0]!
const joined = ({ create }: Sketch, ...parts: Value[]): Value =>
  create({ op: 'Concat', inputs: parts, attributes: { axis: -1 } })[0]!
const each = ({ cos, sin }: Angles, change: (x: Value) => Value): Angles => ({
  cos: change(cos),
  sin: change(sin),
})

const rotateHalf = (s: Sketch, x: Value, size = SIZE): Value =>
  joined(s, s.op.Neg(half(s, x, size / 2, size)), half(s, x, 0, size / 2))
const neighbours = (s: Sketch, a: Value, b: Value, size = SIZE): Value =>
  s.op.Reshape(joined(s, s.op.Unsqueeze(a, [4]), s.op.Unsqueeze(b, [4])), [0, 0, 0, size])

/** The x [batch, heads, length, size] of each dialect, rotated. */
const dialects: Record<string, (s: Sketch, x: Value, positions: Value) => Value> = {
  'halves, sum of two products': (s, x, positions) => {
    const { cos, sin } = each(waves(s, twice(s, angles(s, positions, SIZE / 2))), (w) => s.op.Unsqueeze(w, [1]))
    return s.op.Add(s.op.Mul(x, cos), s.op.Mul(rotateHalf(s, x), sin))
  },
  'halves, scaled waves that are put twice themselves': (s, x, positions) => {
    const { cos, sin } = each(waves(s, angles(s, positions, SIZE / 2)), (w) =>
      s.op.Unsqueeze(twice(s, s.op.Mul(w, 1.25)), [1]),
    )
    return s.op.Add(s.op.Mul(rotateHalf(s, x), sin), s.op.Mul(x, cos))
  },
  'halves by Split, waves of half the size': (s, x, positions) => {
    const { op } = s
    const { cos, sin } = each(waves(s, angles(s, positions, SIZE / 2)), (w) => op.Unsqueeze(w, [1]))
    const [a, b] = s.create({ op: 'Split', inputs: [x, [SIZE / 2, SIZE / 2]], attributes: { axis: -1 }, outputs: 2 })
    return joined(s, op.Sub(op.Mul(a!, cos), op.Mul(b!, sin)), op.Add(op.Mul(b!, cos), op.Mul(a!, sin)))
  },
  'the first half of the channels': (s, x, positions) => {
    const { cos, sin } = each(waves(s, twice(s, angles(s, positions, SIZE / 4))), (w) => s.op.Unsqueeze(w, [1]))
    const first = half(s, x, 0, SIZE / 2)
    const rotated = s.op.Add(s.op.Mul(first, cos), s.op.Mul(rotateHalf(s, first, SIZE / 2), sin))
    return joined(s, rotated, half(s, x, SIZE / 2, SIZE))
  },
  'neighbours, waves repeated': (s, x, positions) => {
    const { op } = s
    const repeated = (w: Value): Value =>
      op.Reshape(op.Expand(op.Unsqueeze(op.Unsqueeze(w, [1]), [4]), [1, 1, 1, 1, 2]), [0, 0, 0, SIZE])
    const { cos, sin } = each(waves(s, angles(s, positions, SIZE / 2)), repeated)
    const rotated = neighbours(s, op.Neg(half(s, x, 1, SIZE, 2)), half(s, x, 0, SIZE, 2))
    return op.Add(op.Mul(x, cos), op.Mul(rotated, sin))
  },
  'neighbours, put together at the end': (s, x, positions) => {
    const { op } = s
    const { cos, sin } = each(waves(s, angles(s, positions, SIZE / 2)), (w) => op.Unsqueeze(w, [1]))
    const pairs = op.Reshape(x, [0, 0, 0, SIZE / 2, 2])
    const [a, b] = [0, 1].map((i) => op.Gather(pairs, s.constant(Tensor.int64([i], [])), { axis: -1 }))
    return neighbours(s, op.Sub(op.Mul(a!, cos), op.Mul(b!, sin)), op.Add(op.Mul(b!, cos), op.Mul(a!, sin)))
  },
  'waves out of a table': (s, x, positions) => {
    const rows = Array.from({ length: 16 }, (_, p) => [0, 1, 2, 3, 0, 1, 2, 3].map((i) => p / (i + 1))).flat()
    const table = (wave: (angle: number) => number): Value =>
      s.op.Unsqueeze(s.op.Gather(s.constant(Tensor.float32([16, SIZE], rows.map(wave)), 'table'), positions), [1])
    return s.op.Add(s.op.Mul(x, table(Math.cos)), s.op.Mul(rotateHalf(s, x), table(Math.sin)))
  },
}

/** Positions that the caller gives, or counted for all sequences alike; heads before or after the length. */
function rotary(
  dialect: (s: Sketch, x: Value, positions: Value) => Value,
  options: { counted?: boolean; opset?: number; names?: [string, string] } = {},
): Promise<Model> {
  return draw(
    (s) => {
      const { op } = s
      const x = s.input('x', ['batch', 'sequence', HEADS * SIZE])
      const given = s.input('positions', options.names ?? ['batch', 'sequence'], 'int64')
      const length = op.Gather(op.Shape(x), s.constant(Tensor.int64([1], [])))
      const [zero, one] = [0, 1].map((i) => s.constant(Tensor.int64([i], [])))
      const positions = options.counted ? op.Unsqueeze(op.Range(zero!, length, one!), [0]) : given
      const heads = op.Transpose(op.Reshape(x, [0, 0, HEADS, SIZE]), { perm: [0, 2, 1, 3] })
      return [dialect(s, heads, positions), op.Identity(given)]
    },
    { opset: options.opset ?? 17 },
  )
}

async function expectRotary(
  model: Model,
  op: string,
  rows: (batch: number) => number = (batch) => batch,
): Promise<void> {
  const cases = (
    [
      [1, 5],
      [3, 2],
    ] as const
  ).map(([batch, sequence]) => ({
    ...randomFeeds(model, { batch, sequence }),
    // Padding on the left, a jump, and positions in any order.
    positions: Tensor.int64([0, 0, 1, 2, 3, 1, 7, 4, 0].slice(0, rows(batch) * sequence), [rows(batch), sequence]),
  }))
  const original = await ort.open(model)
  await fuseAttention(model, phases)
  const counts = model.histogram()
  expect(counts[op]).toBe(1)
  for (const gone of ['Neg', 'Add', 'Sub']) expect(counts[gone]).toBeUndefined()
  const fused = await ort.open(model)
  for (const feeds of cases) expectClose(await fused.run(feeds), await original.run(feeds), 1e-5)
  await original.release()
  await fused.release()
}

describe('rotary positions as exporters write them', () => {
  test.each(Object.entries(dialects))('%s', async (_, dialect) => {
    await expectRotary(await rotary(dialect), 'com.microsoft:RotaryEmbedding')
    await expectRotary(await rotary(dialect, { counted: true }), 'com.microsoft:RotaryEmbedding')
  })

  test.each(Object.entries(dialects))('%s, with positions whose sizes have names of their own', async (_, dialect) => {
    const names: [string, string] = ['rows', 'columns']
    await expectRotary(await rotary(dialect, { names }), 'com.microsoft:RotaryEmbedding')
    await expectRotary(await rotary(dialect, { names }), 'com.microsoft:RotaryEmbedding', () => 1)
    await expectRotary(await rotary(dialect, { names, opset: 23 }), 'RotaryEmbedding', () => 1)
  })

  test.each(Object.entries(dialects))('%s, with the standard operator', async (_, dialect) => {
    await expectRotary(await rotary(dialect, { opset: 23 }), 'RotaryEmbedding')
    await expectRotary(await rotary(dialect, { opset: 23, counted: true }), 'RotaryEmbedding')
  })
})

const misses: Record<string, [string, (s: Sketch, x: Value, positions: Value) => Value]> = {
  'the other direction': [
    'rotates in another direction',
    (s, x, positions) => {
      const { cos, sin } = each(waves(s, twice(s, angles(s, positions, SIZE / 2))), (w) => s.op.Unsqueeze(w, [1]))
      return s.op.Sub(s.op.Mul(x, cos), s.op.Mul(rotateHalf(s, x), sin))
    },
  ],
  'an angle of its own for each channel': [
    'by different angles',
    (s, x, positions) => {
      const { cos, sin } = each(waves(s, angles(s, positions, SIZE)), (w) => s.op.Unsqueeze(w, [1]))
      return s.op.Add(s.op.Mul(x, cos), s.op.Mul(rotateHalf(s, x), sin))
    },
  ],
  'channels that are moved besides': [
    'changes channels that are not rotated',
    (s, x, positions) => {
      const { cos, sin } = each(waves(s, twice(s, angles(s, positions, SIZE / 4))), (w) => s.op.Unsqueeze(w, [1]))
      const first = half(s, x, 0, SIZE / 2)
      const rotated = s.op.Add(s.op.Mul(first, cos), s.op.Mul(rotateHalf(s, first, SIZE / 2), sin))
      return joined(s, rotated, half(s, x, SIZE - 2, SIZE), half(s, x, SIZE / 2, SIZE - 2))
    },
  ],
  'angles that differ from head to head': [
    'not an angle for each position',
    (s, x, positions) => {
      const wide = s.op.Mul(s.op.Unsqueeze(angles(s, positions, SIZE / 2), [1]), s.weight([1, HEADS, 1, 1]))
      const { cos, sin } = waves(s, twice(s, wide))
      return s.op.Add(s.op.Mul(x, cos), s.op.Mul(rotateHalf(s, x), sin))
    },
  ],
  'a sum that rotates nothing': [
    'no sum of two rotated parts',
    (s, x, positions) => {
      const { cos } = each(waves(s, twice(s, angles(s, positions, SIZE / 2))), (w) => s.op.Unsqueeze(w, [1]))
      return s.op.Add(s.op.Mul(x, cos), x)
    },
  ],
}

describe('what is no rotation', () => {
  test.each(Object.entries(misses))('%s', async (name, [reason, dialect]) => {
    const model = await rotary(dialect)
    const before = JSON.stringify(model.histogram())
    // The sum inside a part of the channels is a rotation by itself.
    const { nearMisses } = await fuseAttention(model, name.includes('channels') ? [[rotaryJoined]] : phases)
    expect(JSON.stringify(model.histogram())).toBe(before)
    const reasons = [...nearMisses, ...explain(model, phases.flat())].map(({ message }) => message)
    expect(reasons.join('\n')).toContain(reason)
  })
})
