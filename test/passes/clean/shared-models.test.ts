import { describe, expect, test } from 'vitest'
import { readModel } from '../../../src/graph/import.ts'
import { OnnxError } from '../../../src/onnx/errors.ts'
import { createOrtService } from '../../../src/ort/service.ts'
import { run } from '../../../src/passes/clean/run.ts'
import { bytesOf, copyOf, difference, passContext, signatureOf } from '../../support/models.ts'
import { hasShared, shared } from '../../support/shared.ts'
import { readableModels, recordedRuns } from '../../support/shared-cases.ts'

/** Folding and other orders of summation move the last bits. */
const TOLERANCE = 1e-5

const ort = createOrtService()
const loads = async (open: () => Promise<{ release(): Promise<void> }>): Promise<string | undefined> => {
  try {
    await (await open()).release()
    return undefined
  } catch (error) {
    if (error instanceof OnnxError) return error.code
    throw error
  }
}

describe.skipIf(!hasShared)('clean-ups of the shared models', () => {
  test.each(readableModels())(
    '%s: smaller, the same to callers, and the same numbers',
    async (file) => {
      const original = readModel(shared(file))
      const before = bytesOf(original)
      const model = readModel(shared(file))
      const { changes } = await run(model, {}, passContext())
      const after = bytesOf(model)
      if (changes === 0) expect(Buffer.compare(after, before)).toBe(0)
      else expect(after.length).toBeLessThan(before.length)
      expect(signatureOf(model)).toBe(signatureOf(original))

      const again = copyOf(model)
      expect((await run(again, {}, passContext())).changes).toBe(0)

      expect(await loads(() => ort.open(copyOf(model)))).toBe(await loads(() => ort.open(copyOf(original))))
      for (const { feeds, expected } of recordedRuns(file)) {
        const actual = await ort.evaluate(copyOf(model), feeds)
        for (const [name, wanted] of Object.entries(expected))
          expect(difference(actual[name], wanted), name).toBeLessThanOrEqual(TOLERANCE)
      }
    },
    60_000,
  )
})
