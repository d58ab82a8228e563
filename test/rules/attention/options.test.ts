import { describe, expect, test } from 'vitest'
import type { Model } from '../../../src/graph/model.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import type { Value } from '../../../src/graph/value.ts'
import { codeOf } from '../../../src/onnx/dtypes.ts'
import { type FuseOptions, run } from '../../../src/passes/fuse/run.ts'
import { fuseAttention, ort } from '../../support/attention.ts'
import { passContext } from '../../support/models.ts'
import { draw, expectClose, opsOf, randomFeeds, type Sketch } from '../../support/rules.ts'

const options: FuseOptions = { fuse: 'auto', strict: true }

function heads({ op }: Sketch, x: Value): Value {
  return op.Transpose(op.Reshape(x, [0, 0, 4, 8]), { perm: [0, 2, 1, 3] })
}

function weighted({ op }: Sketch, [q, k, v]: readonly Value[], bias?: Value): Value {
  const scores = op.Div(op.MatMul(q!, op.Transpose(k!, { perm: [0, 1, 3, 2] })), Math.sqrt(8))
  const y = op.MatMul(op.Softmax(bias ? op.Add(scores, bias) : scores, { axis: -1 }), v!)
  return op.Reshape(op.Transpose(y, { perm: [0, 2, 1, 3] }), [0, 0, 32])
}

/** Self-attention of four heads of eight, with a padding mask. */
const masked = (): Promise<Model> =>
  draw((s) => {
    const { op } = s
    const x = s.input('x', ['batch', 'sequence', 32])
    const wide = op.Unsqueeze(s.input('mask', ['batch', 'sequence'], 'int64'), [1, 2])
    const bias = op.Mul(op.Sub(1, op.Cast(wide, { to: codeOf('float32') })), -3.4e38)
    const parts = [0, 1, 2].map(() => heads(s, op.MatMul(x, s.weight([32, 32], { scale: 0.3 }))))
    return weighted(s, parts, bias)
  })

const feedsFor = (model: Model, mask: number[]): Record<string, Tensor> => ({
  ...randomFeeds(model, { batch: 2, sequence: 3 }),
  mask: Tensor.int64(mask, [2, 3]),
})

describe('masks', () => {
  test('raw: the mask itself', async () => {
    const model = await masked()
    await run(model, options, passContext())
    expect(opsOf(model)).toBe('Cast, com.microsoft:Attention')
  })

  test.each(['webgpu', 'webnn'])('added to the scores on %s, whose kernels take no padding masks', async (device) => {
    const model = await masked()
    const feeds = feedsFor(model, [0, 1, 1, 1, 0, 1])
    const expected = await ort.evaluate(model, feeds)
    await run(model, options, { ...passContext(), device })
    const fused = [...model.graph.nodes()].find(({ opType }) => /Attention/.test(opType))!
    expect(fused.inputs[fused.is('Attention', 'com.microsoft') ? 3 : 4]).toBeNull()
    expect(fused.inputs[5]).not.toBeNull()
    expectClose(await ort.evaluate(model, feeds), expected, 1e-4)
  })

  test('index: its lengths, right for padding at the end', async () => {
    const model = await masked()
    const feeds = feedsFor(model, [1, 1, 0, 1, 1, 1])
    const expected = await ort.evaluate(model, feeds)
    await run(model, { ...options, mask: 'index' }, passContext())
    expect(opsOf(model)).toBe('Cast, ReduceSum, com.microsoft:Attention')
    expectClose(await ort.evaluate(model, feeds), expected, 1e-4)
  })

  test.each([
    ['padding on both sides', [0, 1, 1, 1, 1, 0]],
    ['no padding', [1, 1, 1, 1, 1, 1]],
  ])('range: its ends and starts, right for %s', async (_, mask) => {
    const model = await masked()
    const feeds = feedsFor(model, mask)
    const expected = await ort.evaluate(model, feeds)
    await run(model, { ...options, mask: 'range' }, passContext())
    expect(opsOf(model)).toBe('Add, 2 ArgMax, 2 Cast, Concat, com.microsoft:Attention')
    expectClose(await ort.evaluate(model, feeds), expected, 1e-4)
  })

  test('range: the mask itself where the operator knows no starts', async () => {
    const model = await masked()
    await run(model, { ...options, mask: 'range', attentionOp: 'MultiHeadAttention' }, passContext())
    expect(opsOf(model)).toBe('Cast, 3 MatMul, com.microsoft:MultiHeadAttention')
  })

  test('none: right where nothing is padded', async () => {
    const model = await masked()
    const feeds = feedsFor(model, [1, 1, 1, 1, 1, 1])
    const expected = await ort.evaluate(model, feeds)
    await run(model, { ...options, mask: 'none' }, passContext())
    expect(opsOf(model)).toBe('com.microsoft:Attention')
    const { x } = feeds
    expectClose(await ort.evaluate(model, { x: x!, mask: feeds['mask']! }), expected, 1e-4)
  })
})

describe('heads and hidden size', () => {
  test('are read from the graph, and may be said', async () => {
    const model = await masked()
    await run(model, { ...options, numHeads: 4, hiddenSize: 32 }, passContext())
    const node = [...model.graph.nodes()].find(({ opType }) => opType === 'Attention')!
    expect([node.int('num_heads'), node.float('scale')]).toEqual([4, undefined])
  })

  test('what contradicts the graph is an error with both numbers', async () => {
    await expect(run(await masked(), { ...options, numHeads: 8 }, passContext())).rejects.toThrow('has 4 heads, not 8')
    await expect(run(await masked(), { ...options, hiddenSize: 64 }, passContext())).rejects.toThrow(
      'has the hidden size 32, not 64',
    )
  })
})

describe('rules that stop halfway', () => {
  test.each([
    ['one step', { fuseSteps: 1 }],
    ['two steps', { fuseSteps: 2 }],
    ['no operator to become', { without: ['packed-attention', 'multi-head-attention'] }],
  ])('%s: standard operators again, with the same results', async (_, more) => {
    const model = await masked()
    const feeds = feedsFor(model, [0, 1, 1, 1, 0, 1])
    const expected = await ort.evaluate(model, feeds)
    await run(model, { ...options, ...more }, passContext())
    for (const { domain } of model.allNodes()) expect(domain).toBe('')
    expectClose(await ort.evaluate(model, feeds), expected, 1e-4)
  })

  test('without=attention leaves it alone', async () => {
    const model = await masked()
    const { fused } = await run(model, { ...options, without: ['attention'] }, passContext())
    expect(fused).toEqual({})
    expect(model.histogram()['Softmax']).toBe(1)
  })
})

describe('past keys and values', () => {
  test('are appended by the operator', async () => {
    const model = await draw((s) => {
      const { op } = s
      const x = s.input('x', ['batch', 'sequence', 32])
      const [pastKey, pastValue] = ['past_key', 'past_value'].map((name) => s.input(name, ['batch', 4, 'past', 8]))
      const [q, k, v] = [0, 1, 2].map(() => heads(s, op.MatMul(x, s.weight([32, 32], { scale: 0.3 }))))
      const key = op.Concat(pastKey!, k!, { axis: 2 })
      const value = op.Concat(pastValue!, v!, { axis: -2 })
      return [weighted(s, [q!, key, value]), key, value]
    })
    for (const past of [0, 5]) {
      const feeds = randomFeeds(model, { batch: 2, sequence: 3, past })
      const expected = await ort.evaluate(model, feeds)
      await fuseAttention(model)
      expect(opsOf(model)).toBe('3 MatMul, com.microsoft:MultiHeadAttention')
      expectClose(await ort.evaluate(model, feeds), expected, 1e-4)
    }
  })
})

describe('subgraphs', () => {
  test('attention in the branch of an If', async () => {
    const model = await draw((s) => {
      const { op, graph } = s
      const x = s.input('x', ['batch', 'sequence', 32])
      const condition = s.input('condition', [], 'bool')
      const parts = [0, 1, 2].map(() => heads(s, op.MatMul(x, s.weight([32, 32], { scale: 0.3 }))))
      const node = graph.insert({ op: 'If', inputs: [condition] })
      for (const name of ['then_branch', 'else_branch']) {
        const branch = new (graph.constructor as new (...given: unknown[]) => typeof graph)(graph.model, name, node)
        node.attributes.set(name, { kind: 'graph', value: branch })
        if (name === 'else_branch') {
          branch.addOutput(branch.insert({ op: 'Identity', inputs: [x] }).output())
          continue
        }
        const step = (type: string, inputs: Value[], attributes = {}): Value =>
          branch.insert({ op: type, inputs, attributes }).output()
        const perm = (axes: number[]): object => ({ perm: { kind: 'ints', value: axes } })
        const scores = step('MatMul', [parts[0]!, step('Transpose', [parts[1]!], perm([0, 1, 3, 2]))])
        const y = step('MatMul', [step('Softmax', [scores], { axis: { kind: 'int', value: -1 } }), parts[2]!])
        const shape = s.constant(Tensor.int64([0, 0, 32]))
        branch.addOutput(step('Reshape', [step('Transpose', [y], perm([0, 2, 1, 3])), shape]))
      }
      return node.output()
    })
    for (const taken of [1, 0]) {
      const feeds = { ...randomFeeds(model, { batch: 2, sequence: 3 }), condition: Tensor.from('bool', [], [taken]) }
      const expected = await ort.evaluate(model, feeds)
      await fuseAttention(model)
      expect(model.histogram()['com.microsoft:Attention']).toBe(1)
      expectClose(await ort.evaluate(model, feeds), expected, 1e-4)
    }
  })
})
