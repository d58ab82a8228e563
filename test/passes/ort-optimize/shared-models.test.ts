import { describe, expect, test } from 'vitest'
import { readModel } from '../../../src/graph/import.ts'
import { createOrtService } from '../../../src/ort/service.ts'
import { run as clean } from '../../../src/passes/clean/run.ts'
import { run } from '../../../src/passes/ort-optimize/run.ts'
import { distance } from '../../../src/passes/ort-optimize/trial.ts'
import { bytesOf, copyOf, difference, passContext, signatureOf } from '../../support/models.ts'
import { hasShared, shared } from '../../support/shared.ts'
import { readableModels, recordedRuns } from '../../support/shared-cases.ts'

/** Fused operators round in other places. */
const TOLERANCE = 1e-4
/** Integer kernels may land on the next step of the grid: length of the difference by length of the expected vector. */
const QUANTIZED_TOLERANCE = 0.02

const ort = createOrtService()

describe.skipIf(!hasShared).each(['basic', 'extended'] as const)('level %s on the shared models', (optimize) => {
  test.each(readableModels())(
    '%s: no larger, the same to callers, and the same numbers',
    async (file) => {
      const original = readModel(shared(file))
      const model = readModel(shared(file))
      const isQuantized = [...model.allNodes()].some(({ opType }) => opType === 'QuantizeLinear')
      await clean(model, {}, passContext())
      const context = passContext()
      await run(model, { optimize }, context)
      expect(signatureOf(model)).toBe(signatureOf(original))
      expect(bytesOf(model).length).toBeLessThanOrEqual(bytesOf(original).length)
      if (context.notes.some(({ code }) => code === 'ort-optimize/not-loadable')) return
      const session = await ort.open(copyOf(model))
      try {
        for (const { feeds, expected } of recordedRuns(file)) {
          const actual = await session.run(feeds)
          for (const [name, wanted] of Object.entries(expected))
            if (isQuantized) expect(distance(actual[name]!, wanted), name).toBeLessThanOrEqual(QUANTIZED_TOLERANCE)
            else expect(difference(actual[name], wanted), name).toBeLessThanOrEqual(TOLERANCE)
        }
      } finally {
        await session.release()
      }
    },
    60_000,
  )
})
