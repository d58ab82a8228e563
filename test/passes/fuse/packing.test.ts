import { describe, expect, test } from 'vitest'
import type { Model } from '../../../src/graph/model.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import type { Value } from '../../../src/graph/value.ts'
import { codeOf } from '../../../src/onnx/dtypes.ts'
import { type FuseOptions, run } from '../../../src/passes/fuse/run.ts'
import { rewrite, rule } from '../../../src/rewrite/index.ts'
import { ort } from '../../support/attention.ts'
import { passContext, signatureOf } from '../../support/models.ts'
import { draw, expectClose, opsOf, randomFeeds, type Sketch } from '../../support/rules.ts'

const HIDDEN = 32
const options: FuseOptions = { fuse: 'auto', strict: true, packing: true }

function heads({ op }: Sketch, x: Value): Value {
  return op.Transpose(op.Reshape(x, [0, 0, 4, 8]), { perm: [0, 2, 1, 3] })
}

/** Two layers of an encoder and a pooler on the first token. */
const encoder = (change: { causal?: boolean } = {}): Promise<Model> =>
  draw((s) => {
    const { op } = s
    const wide = op.Unsqueeze(s.input('mask', ['batch', 'sequence'], 'int64'), [1, 2])
    const bias = op.Mul(op.Sub(1, op.Cast(wide, { to: codeOf('float32') })), -3.4e38)
    const linear = (x: Value, from: number, to: number): Value =>
      op.Add(op.MatMul(x, s.weight([from, to], { scale: 0.3 })), s.weight([to]))
    const norm = (x: Value): Value =>
      op.LayerNormalization(x, s.weight([HIDDEN], { around: 1 }), s.weight([HIDDEN]), { axis: -1, epsilon: 1e-5 })
    let x = norm(s.input('x', ['batch', 'sequence', HIDDEN]))
    for (let layer = 0; layer < 2; layer++) {
      const [q, k, v] = [0, 1, 2].map(() => heads(s, linear(x, HIDDEN, HIDDEN)))
      const scores = op.Div(op.MatMul(q!, op.Transpose(k!, { perm: [0, 1, 3, 2] })), Math.sqrt(8))
      const masked = op.Add(scores, bias)
      const added = change.causal
        ? op.Add(masked, s.input(`positions${layer}`, [1, 4, 'sequence', 'sequence']))
        : masked
      const y = op.MatMul(op.Softmax(added, { axis: -1 }), v!)
      const joined = op.Reshape(op.Transpose(y, { perm: [0, 2, 1, 3] }), [0, 0, HIDDEN])
      x = norm(op.Add(linear(joined, HIDDEN, HIDDEN), x))
      const wider = linear(x, HIDDEN, 2 * HIDDEN)
      const gelu = op.Mul(op.Mul(wider, 0.5), op.Add(op.Erf(op.Div(wider, Math.SQRT2)), 1))
      x = norm(op.Add(linear(gelu, 2 * HIDDEN, HIDDEN), x))
    }
    const first = op.Gather(x, s.constant(Tensor.int64([0], [])), { axis: 1 })
    return [x, op.Tanh(first)]
  })

const feedsFor = (model: Model, mask: number[]): Record<string, Tensor> => ({
  ...randomFeeds(model, { batch: 2, sequence: 3 }),
  mask: Tensor.int64(mask, [2, 3]),
})

/**
 * The packed operators in terms of others, for machines without their kernels. What they would leave out is kept, and attention is
 * told by its mask.
 */
async function unpack(model: Model): Promise<void> {
  const offsets = [...model.graph.nodes()].find((node) => node.is('RemovePadding', 'com.microsoft'))!
  const lengths = offsets.input(1)!
  const size = offsets.input(0)!
  const rules = [
    rule({
      name: 'remove',
      doc: '',
      match: ({ oneOf, any }) => oneOf('com.microsoft:RemovePadding', any('x'), any('counts')),
      replace: ({ op, x, node }) => {
        const [, ...rest] = node.outputs
        for (const value of rest) if (value) for (const use of [...value.uses]) use.node.setInput(use.index, lengths)
        return op.Reshape(x, [-1, HIDDEN])
      },
    }),
    rule({
      name: 'attention',
      doc: '',
      match: ({ oneOf, any }) =>
        oneOf('com.microsoft:PackedAttention', any('x'), any('weight'), any('bias'), any('offset'), any('counts')),
      replace: ({ op, ms, x, weight, bias, node }) => {
        const shape = op.Concat(op.Slice(op.Shape(size), [0], [2]), s64([-1]), { axis: 0 })
        const attributes = { num_heads: node.int('num_heads')!, mask_filter_value: -3.4e38 }
        return op.Reshape(ms.Attention(op.Reshape(x, shape), weight, bias, lengths, attributes), [-1, HIDDEN])
      },
    }),
    rule({
      name: 'restore',
      doc: '',
      match: ({ oneOf, any }) => oneOf('com.microsoft:RestorePadding', any('x'), any('offset')),
      replace: ({ op, x }) => op.Reshape(x, op.Concat(op.Slice(op.Shape(size), [0], [2]), s64([-1]), { axis: 0 })),
    }),
  ]
  for (const each of [rules.slice(1), rules.slice(0, 1)]) rewrite(model, [each], { strict: true })
  function s64(numbers: number[]): Tensor {
    return Tensor.int64(numbers)
  }
}

describe('packing', () => {
  test('everything from the first attention on is without padding, and what needs it has it back', async () => {
    const model = await encoder()
    const signature = signatureOf(model)
    const feeds = feedsFor(model, [1, 1, 0, 1, 1, 1])
    const expected = await ort.evaluate(model, feeds)
    const { fused } = await run(model, options, passContext({ device: 'cuda' }))
    expect(fused).toMatchObject({ PackedAttention: 2, RemovePadding: 1, RestorePadding: 1, SkipLayerNormalization: 4 })
    expect(model.histogram()['com.microsoft:Attention']).toBeUndefined()
    expect(signatureOf(model)).toBe(signature)
    await unpack(model)
    expect(opsOf(model)).toContain('2 com.microsoft:Attention')
    const actual = await ort.evaluate(model, feeds)
    // Tokens that are padding hold what nobody asked for: all but the third of the first sequence count.
    const seen = (results: Record<string, Tensor>): Record<string, Tensor> =>
      Object.fromEntries(
        Object.entries(results).map(([name, tensor]) => [
          name,
          tensor.dims.length === 3
            ? Tensor.from(
                'float32',
                [5, HIDDEN],
                tensor.toNumbers().filter((_, i) => Math.floor(i / HIDDEN) !== 2),
              )
            : tensor,
        ]),
      )
    expectClose(seen(actual), seen(expected), 1e-4)
  })

  test('not on a device without the kernels, said so', async () => {
    const model = await encoder()
    const context = passContext()
    const { fused } = await run(model, options, context)
    expect(fused).toMatchObject({ Attention: 2 })
    expect(context.notes.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^not packed: .* com.microsoft:PackedAttention has no kernel on cpu$/),
    ])
  })

  test('not where something is added to the scores', async () => {
    const model = await encoder({ causal: true })
    const context = passContext({ device: 'cuda' })
    const { fused } = await run(model, options, context)
    expect(fused).toMatchObject({ Attention: 2 })
    expect(fused).not.toHaveProperty('PackedAttention')
    expect(context.notes[0]!.message).toMatch(/^not packed: .* has no padding mask$/)
  })

  test('not where there is no attention', async () => {
    const model = await draw(({ op, input }) => op.Relu(input('x', ['n', 2])))
    const context = passContext({ device: 'cuda' })
    expect((await run(model, options, context)).changes).toBe(0)
    expect(context.notes[0]!.message).toBe('not packed: there is no fused attention')
  })
})
