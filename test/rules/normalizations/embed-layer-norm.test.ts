import { describe, expect, test } from 'vitest'
import type { Model } from '../../../src/graph/model.ts'
import { propagateShapes } from '../../../src/graph/shapes/index.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import type { Value } from '../../../src/graph/value.ts'
import { embedLayerNorm } from '../../../src/rules/normalizations/embed-layer-norm.ts'
import { draw, expectFusion, expectRefusal, type Sketch } from '../../support/rules.ts'

type Body = (s: Sketch, lookup: (ids: Value) => Value, ids: Value) => Value | readonly Value[]

/** Embeddings 8 wide of up to 4 rows, their sum normalised. */
async function embeddings(body: Body): Promise<Model> {
  const model = await draw((s) => {
    const lookup = (ids: Value): Value => s.op.Gather(s.weight([4, 8]), ids)
    return body(s, lookup, s.input('ids', ['batch', 'sequence'], 'int64'))
  })
  propagateShapes(model)
  return model
}

const norm = (s: Sketch, x: Value): Value => s.op.LayerNormalization(x, s.weight([8]), s.weight([8]), { axis: -1 })
/** The first ids of 0, 1, 2, ... */
const counted = ({ op, constant }: Sketch, ids: Value): Value =>
  op.Slice(constant(Tensor.int64([0, 1, 2, 3], [1, 4])), [0], op.Gather(op.Shape(ids), [1]), [1])

describe('embed-layer-norm', () => {
  test('word, segment and counted positions', async () => {
    const model = await embeddings((s, lookup, ids) => {
      const segments = s.input('segments', ['batch', 'sequence'], 'int64')
      return norm(s, s.op.Add(s.op.Add(lookup(ids), lookup(segments)), lookup(counted(s, ids))))
    })
    await expectFusion(model, embedLayerNorm, '2 Cast, com.microsoft:EmbedLayerNormalization', {
      sizes: { batch: 2, sequence: 3 },
    })
  })

  test('given positions, and a sum that is read elsewhere', async () => {
    const model = await embeddings((s, lookup, ids) => {
      const positions = s.input('positions', ['batch', 'sequence'], 'int64')
      const sum = s.op.Add(lookup(ids), lookup(positions))
      return [norm(s, sum), s.op.Neg(sum)]
    })
    await expectFusion(model, embedLayerNorm, '2 Cast, Neg, com.microsoft:EmbedLayerNormalization', {
      sizes: { batch: 2, sequence: 3 },
    })
  })

  test('positions that were looked up when the model was made', async () => {
    const fixed = (numbers: (count: number) => number[]): Promise<Model> =>
      draw((s) => {
        const [ids, segments] = ['ids', 'segments'].map((name) => s.input(name, [2, 3], 'int64'))
        const lookup = (at: Value): Value => s.op.Gather(s.weight([4, 8]), at)
        const rows = s.constant(Tensor.float32([2, 3, 8], numbers(48)))
        return norm(s, s.op.Add(s.op.Add(lookup(ids!), rows), lookup(segments!)))
      })
    const repeated = (count: number): number[] => Array.from({ length: count }, (_, i) => (i % 24) / 24)
    await expectFusion(await fixed(repeated), embedLayerNorm, '2 Cast, com.microsoft:EmbedLayerNormalization')
    const different = (count: number): number[] => Array.from({ length: count }, (_, i) => i / 48)
    await expectRefusal(await fixed(different), embedLayerNorm, 'is not one row for each position')
  })

  test('not where rows come from something else', async () => {
    const model = await embeddings((s, lookup, ids) =>
      norm(s, s.op.Add(lookup(ids), s.input('x', ['batch', 'sequence', 8]))),
    )
    expectRefusal(model, embedLayerNorm, 'expected Gather')
  })

  test('not over another axis', async () => {
    const model = await embeddings((s, lookup, ids) =>
      s.op.LayerNormalization(s.op.Add(lookup(ids), lookup(counted(s, ids))), s.weight([1, 8]), s.weight([1, 8]), {
        axis: 1,
      }),
    )
    expectRefusal(model, embedLayerNorm, 'axis')
  })

  test('not where positions are computed and the sum is read by the norm alone', async () => {
    const model = await embeddings((s, lookup, ids) =>
      norm(s, s.op.Add(lookup(ids), lookup(s.op.Mod(ids, s.constant(Tensor.int64([2], [])))))),
    )
    expectRefusal(model, embedLayerNorm, 'is a sum like any other')
  })

  test('not where the target has no such operator', async () => {
    const model = await embeddings((s, lookup, ids) => norm(s, s.op.Add(lookup(ids), lookup(counted(s, ids)))))
    expectRefusal(model, embedLayerNorm, "can't run", { allows: () => false })
    expect(model.histogram()['Gather']).toBeGreaterThan(1)
  })
})
