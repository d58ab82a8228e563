import { describe, expect, test } from 'vitest'
import { readModel } from '../../../../src/graph/import.ts'
import { createOrtService } from '../../../../src/ort/service.ts'
import type { WeightOptions } from '../../../../src/passes/quantize/weights/index.ts'
import { bytesOf, copyOf, signatureOf } from '../../../support/models.ts'
import { hasShared, shared } from '../../../support/shared.ts'
import { readableModels, recordedRuns } from '../../../support/shared-cases.ts'
import { quantizeWeights } from '../../../support/weights.ts'

const ort = createOrtService()

const RECIPES: Readonly<Record<string, Partial<WeightOptions>>> = {
  default: {},
  'dtype q4': { symmetric: true, embeddings: false, scaleType: 'float32', mixedBits: false },
  '8 bits': { bits: 8, algorithm: 'rtn' },
  'DequantizeLinear, 8 bits': { bits: 8, algorithm: 'rtn', weightFormat: 'qdq' },
  'DequantizeLinear, 4 bits': { weightFormat: 'qdq', symmetric: true },
  bnb4: { quantize: 'bnb4' },
}

/** Cosine of all elements; 1 where both are zero. */
function cosine(a: readonly number[], b: readonly number[]): number {
  let [dot, x, y] = [0, 0, 0]
  a.forEach((value, i) => {
    if (!Number.isFinite(b[i]!)) return
    dot += value * b[i]!
    x += value * value
    y += b[i]! * b[i]!
  })
  return x === 0 && y === 0 ? 1 : dot / Math.sqrt(x * y)
}

describe.skipIf(!hasShared)('quantized weights of the shared models', () => {
  test.each(readableModels(['own', 'real', 'issues']))(
    '%s: smaller, loads, runs, the same to callers',
    async (file) => {
      try {
        await (await ort.open(shared(file))).release()
      } catch {
        // ONNX Runtime does not take the model itself: nothing to compare with.
        return
      }
      const original = readModel(shared(file))
      const before = bytesOf(original)
      for (const [recipe, options] of Object.entries(RECIPES)) {
        const model = readModel(shared(file))
        const { changes } = await quantizeWeights(model, options)
        const after = bytesOf(model)
        if (changes === 0) {
          // Types that were inferred may leave out what said nothing.
          expect(model.histogram(), recipe).toEqual(original.histogram())
          expect(Math.abs(after.length - before.length), recipe).toBeLessThan(100)
          continue
        }
        expect(signatureOf(model), recipe).toBe(signatureOf(original))
        const session = await ort.open(copyOf(model))
        for (const { feeds, expected } of recordedRuns(file)) {
          const actual = await session.run(feeds)
          for (const [name, wanted] of Object.entries(expected)) {
            expect.soft([recipe, name, actual[name]!.dtype]).toEqual([recipe, name, wanted.dtype])
            if (wanted.dtype !== 'float32' || !recipe.endsWith('8 bits')) continue
            expect.soft(actual[name]!.dims).toEqual(wanted.dims)
            expect
              .soft(cosine(actual[name]!.toNumbers(), wanted.toNumbers()), `${recipe} ${name}`)
              .toBeGreaterThan(0.98)
          }
        }
        await session.release()
      }
    },
    60_000,
  )
})
