import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { difference, feedsOf, fuseAttention, ort, ownModel } from '../../support/attention.ts'
import { hasShared, shared } from '../../support/shared.ts'

interface Entry {
  model_type: string | null
}

const manifest = hasShared
  ? (JSON.parse(readFileSync(shared('own/manifest.json'), 'utf8')) as Record<string, Entry>)
  : {}
const names = hasShared
  ? readdirSync(shared('own'))
      .filter((file) => file.endsWith('.onnx'))
      .map((file) => file.replace(/\.onnx$/, ''))
      .filter((name) => manifest[name]?.model_type)
  : []

/** Every attention of these models is one Softmax. */
describe.skipIf(!hasShared)('every attention of every model', () => {
  test.each(names)(
    '%s',
    async (name) => {
      const model = ownModel(name)
      const blocks = model.histogram()['Softmax']
      expect(blocks).toBeGreaterThan(0)
      const original = await ort.open(model)
      await fuseAttention(model)
      const after = model.histogram()
      const fused = ['Attention', 'MultiHeadAttention', 'GroupQueryAttention']
        .map((op) => after[`com.microsoft:${op}`] ?? 0)
        .reduce((sum, count) => sum + count)
      expect(fused).toBe(blocks)
      expect(after['Softmax']).toBeUndefined()
      // Query and key of each block are rotated.
      if (/llama|phi|gptneox|qwen/.test(name)) expect(after['com.microsoft:RotaryEmbedding']).toBe(2 * blocks!)
      const session = await ort.open(model)
      const known = new Set(original.inputs.map((input) => input.name))
      for (const feeds of feedsOf(name)) {
        const given = Object.fromEntries(Object.entries(feeds).filter(([input]) => known.has(input)))
        expect(difference(await original.run(given), await session.run(given))).toBeLessThanOrEqual(1e-4)
      }
      await original.release()
      await session.release()
    },
    60_000,
  )
})
