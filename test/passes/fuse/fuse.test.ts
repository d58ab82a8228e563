import { describe, expect, test } from 'vitest'
import { readModel } from '../../../src/graph/import.ts'
import { clean } from '../../../src/passes/clean/index.ts'
import { explainFusions } from '../../../src/passes/fuse/explain.ts'
import { fuse } from '../../../src/passes/fuse/index.ts'
import { type FuseOptions, run } from '../../../src/passes/fuse/run.ts'
import { golden } from '../../support/golden.ts'
import { bytesOf, copyOf, difference, passContext, signatureOf } from '../../support/models.ts'
import { draw, opsOf } from '../../support/rules.ts'
import { hasShared, shared } from '../../support/shared.ts'
import { readableModels, recordedRuns } from '../../support/shared-cases.ts'

const defaults: FuseOptions = { fuse: 'auto', strict: true }

const twoGelus = (): ReturnType<typeof draw> =>
  draw(({ op, input }) => {
    const gelu = (x: ReturnType<typeof input>) => op.Mul(op.Mul(x, 0.5), op.Add(op.Erf(op.Div(x, Math.SQRT2)), 1))
    return gelu(gelu(input('x', ['batch', 4])))
  })

describe('fuse', () => {
  test('is off unless asked for', () => {
    expect(fuse.params.fuse.default).toBe('none')
    expect(fuse.enabled({ fuse: 'none' } as Parameters<typeof fuse.enabled>[0])).toBe(false)
  })

  test('reports counts per operator and per rule, nodes, and near misses', async () => {
    const model = await twoGelus()
    const result = await run(model, defaults, passContext())
    expect(result).toEqual({
      changes: 2,
      fused: { Gelu: 2 },
      data: {
        rules: { gelu: 2 },
        nodes: { before: 10, after: 2 },
        ops: { Add: -2, Div: -2, Erf: -2, Mul: -4, 'com.microsoft:Gelu': 2 },
        nearMisses: [],
      },
    })
  })

  test('rules and groups can be left out, or run alone', async () => {
    for (const options of [{ without: ['gelu'] }, { only: ['layer_norm', 'bias-gelu'] }]) {
      const model = await twoGelus()
      const before = opsOf(model)
      const { changes, data } = await run(model, { ...defaults, ...options }, passContext())
      expect(changes).toBe(0)
      expect(opsOf(model)).toBe(before)
      expect(data.rules).toEqual({})
    }
    await expect(run(await twoGelus(), { ...defaults, without: ['gelus'] }, passContext())).rejects.toThrow(
      'no fusion rule is called "gelus"',
    )
  })

  test('what QNN has operators for is made for QNN, or on request', async () => {
    const normalized = () =>
      draw(({ op, input }) => {
        const x = input('x', ['batch', 4])
        return op.Div(x, op.Expand(op.Clip(op.ReduceL2(x, { axes: [-1] }), 1e-12), op.Shape(x)))
      })
    const opsFor = async (device: string, options: Partial<FuseOptions> = {}): Promise<string> => {
      const model = await normalized()
      await run(model, { ...defaults, ...options }, passContext({ device }))
      return opsOf(model)
    }
    expect(await opsFor('qnn')).toBe('LpNormalization')
    expect(await opsFor('qnn', { fuse: 'bert' })).toBe('LpNormalization')
    expect(await opsFor('cpu', { with: ['qnn'] })).toBe('LpNormalization')
    for (const other of [opsFor('cpu'), opsFor('qnn', { without: ['lp-norm'] }), opsFor('qnn', { only: ['gelu'] })])
      expect(await other).toContain('ReduceL2')
  })

  test('stops after a number of steps and tells the last', async () => {
    const { changes, data } = await run(await twoGelus(), { ...defaults, fuseSteps: 1 }, passContext())
    expect(changes).toBe(1)
    expect(data.lastSteps).toEqual([{ rule: 'gelu', node: expect.any(String) }])
  })

  test('the tanh approximation on request only', async () => {
    const model = await twoGelus()
    const { fused } = await run(model, { ...defaults, geluApproximation: true }, passContext())
    expect(fused).toEqual({ FastGelu: 2 })
  })

  test('emits what the device can run', async () => {
    const model = await twoGelus()
    const { changes } = await run(model, defaults, passContext({ device: 'webnn' }))
    expect(changes).toBe(0)
  })

  test('a model with nothing to fuse keeps its bytes', async () => {
    const model = copyOf(await draw(({ op, input }) => op.Relu(input('x', ['n', 2]))))
    const before = bytesOf(model)
    expect((await run(model, defaults, passContext())).changes).toBe(0)
    expect(Buffer.compare(bytesOf(model), before)).toBe(0)
  })
})

/** Operators that Python's transformer optimizer fuses at least as often as we must; what we fuse further counts for what it came from. */
const AT_LEAST: Record<string, readonly string[]> = {
  LayerNormalization: ['LayerNormalization', 'SkipLayerNormalization', 'EmbedLayerNormalization'],
  SkipLayerNormalization: ['SkipLayerNormalization'],
  EmbedLayerNormalization: ['EmbedLayerNormalization'],
  Attention: ['Attention', 'MultiHeadAttention'],
  MultiHeadAttention: ['Attention', 'MultiHeadAttention'],
  SimplifiedLayerNormalization: [
    'SimplifiedLayerNormalization',
    'RMSNormalization',
    'SkipSimplifiedLayerNormalization',
  ],
  SkipSimplifiedLayerNormalization: ['SkipSimplifiedLayerNormalization'],
  Gelu: ['Gelu', 'BiasGelu'],
  BiasGelu: ['BiasGelu'],
}
describe.skipIf(!hasShared)('shared models', () => {
  const files = readableModels(['own'])
  test.each(files)('%s fuses as much as the reference, with the same results', async (file) => {
    const model = readModel(shared(file))
    const signature = signatureOf(model)
    await clean.run(model, { optimize: 'clean' }, passContext())
    await run(model, defaults, passContext())
    expect(signatureOf(model)).toBe(signature)
    const again = copyOf(model)
    expect((await run(again, defaults, passContext())).changes).toBe(0)
    const context = passContext()
    const session = await context.ort.open(model)
    for (const { feeds, expected } of recordedRuns(file)) {
      const actual = await session.run(feeds)
      for (const [name, tensor] of Object.entries(expected)) expect(difference(actual[name], tensor)).toBeLessThan(1e-4)
    }
    await session.release()
    const name = file.replace(/^own\/|\.onnx$/g, '')
    const ops = model.histogram()
    const less: string[] = []
    for (const { fused_operator_statistics: wanted = {} } of Object.values(golden(name)['transformers'] ?? {}) as {
      fused_operator_statistics?: Record<string, number>
    }[])
      for (const [op, count] of Object.entries(wanted)) {
        const found = (AT_LEAST[op] ?? []).reduce(
          (sum, each) => sum + (ops[each] ?? 0) + (ops[`com.microsoft:${each}`] ?? 0),
          0,
        )
        if (AT_LEAST[op] && found < count) less.push(`${op}: ${found} of ${count}`)
      }
    expect(less).toEqual([])
  })
})

test('explains every place where a rule begins and does not end', async () => {
  const model = await draw(({ op, input }) => {
    const x = input('x', [4])
    return [op.Mul(op.Mul(x, 0.5), op.Add(op.Tanh(op.Div(x, Math.SQRT2)), 1)), op.Mul(x, 3)]
  })
  const { nearMisses: misses } = await explainFusions(model, passContext(), { only: ['gelu'] })
  expect(misses.filter(({ rule }) => rule === 'gelu').map(({ matched, anchor }) => `${anchor}: ${matched}`)).toEqual([
    'Mul_1: 3',
    'Mul: 1',
    'Div: 1', // dividing by a constant is a product too
    'Mul_2: 1',
  ])
  expect(misses[0]!.message).toContain('expected Erf, found Tanh')
})
