import { describe, expect, test } from 'vitest'
import { readModel } from '../../../../src/graph/import.ts'
import type { Tensor } from '../../../../src/graph/tensor.ts'
import { createOrtService } from '../../../../src/ort/service.ts'
import { run as runFuse } from '../../../../src/passes/fuse/run.ts'
import type { WeightOptions } from '../../../../src/passes/quantize/weights/index.ts'
import { bytesOf, copyOf, passContext } from '../../../support/models.ts'
import { readTensors } from '../../../support/npz.ts'
import { hasShared, shared } from '../../../support/shared.ts'
import { quantizeWeights } from '../../../support/weights.ts'

const MINILM = 'own/minilm.onnx'
const ort = createOrtService()

/** Sums of the token vectors that the mask lets through, sentence by sentence: their direction is that of the mean. */
function pooled(tokens: Tensor, mask: Tensor): number[][] {
  const [sentences, length, width] = tokens.dims as [number, number, number]
  const [values, kept] = [tokens.float32(), mask.toNumbers()]
  return Array.from({ length: sentences }, (_, s) => {
    const sum = new Array<number>(width).fill(0)
    for (let t = 0; t < length; t++)
      if (kept[s * length + t]) for (let i = 0; i < width; i++) sum[i]! += values[(s * length + t) * width + i]!
    return sum
  })
}

function meanCosine(a: readonly number[][], b: readonly number[][]): number {
  const dot = (x: readonly number[], y: readonly number[]) => x.reduce((sum, value, i) => sum + value * y[i]!, 0)
  return a.reduce((sum, x, i) => sum + dot(x, b[i]!) / Math.sqrt(dot(x, x) * dot(b[i]!, b[i]!)), 0) / a.length
}

describe.skipIf(!hasShared)('trained sentence embeddings', () => {
  const feeds = hasShared ? Object.fromEntries(readTensors(shared('own/minilm-eval.npz'))) : {}
  test.each<[string, Partial<WeightOptions>, { least: number; megabytes: number }]>([
    ['all weights', {}, { least: 0.985, megabytes: 14.3 }],
    ['products alone', { embeddings: false }, { least: 0.985, megabytes: 54.5 }],
    ['8 bits', { bits: 8 }, { least: 0.9995, megabytes: 25 }],
  ])('%s', async (_, options, { least, megabytes }) => {
    const original = readModel(shared(MINILM))
    const [name] = original.graph.outputs.map((value) => value.name)
    const mask = feeds['attention_mask']!
    const expected = pooled((await ort.evaluate(original, feeds))[name!]!, mask)
    const model = readModel(shared(MINILM))
    await quantizeWeights(model, options)
    expect(bytesOf(model).length).toBeLessThan(megabytes * 1e6)
    const actual = pooled((await ort.evaluate(copyOf(model), feeds))[name!]!, mask)
    expect(meanCosine(actual, expected)).toBeGreaterThan(least)
  })
})

test.skipIf(!hasShared)(
  'fused attention and embeddings keep their weights apart, so that they can be quantized',
  async () => {
    const bytes: number[] = []
    for (const fuse of [false, true]) {
      const model = readModel(shared('own/tiny-bert.onnx'))
      if (fuse)
        await runFuse(
          model,
          { fuse: 'auto', geluApproximation: false, mask: 'raw', strict: true, quantize: 'weights' },
          passContext(),
        )
      const { data } = await quantizeWeights(model)
      const ops = model.histogram()
      expect(ops['com.microsoft:MultiHeadAttention'] ?? 0).toBe(fuse ? 2 : 0)
      expect(ops['com.microsoft:Attention']).toBeUndefined()
      expect((data as { quantized: object }).quantized).toMatchObject({ Gather: 3 })
      bytes.push(bytesOf(model).length)
      await (await ort.open(copyOf(model))).release()
    }
    expect(bytes[1]).toBeLessThan(bytes[0]!)
  },
)
