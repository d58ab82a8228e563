import { basename, dirname } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readModel } from '../../../../src/graph/import.ts'
import { compare } from '../../../../src/kernels/index.ts'
import { OnnxError } from '../../../../src/onnx/errors.ts'
import { createOrtService } from '../../../../src/ort/service.ts'
import { inputsOf } from '../../../../src/passes/quantize/calibrate/data/index.ts'
import type { StaticOptions } from '../../../../src/passes/quantize/static/settings.ts'
import { passContext, signatureOf } from '../../../support/models.ts'
import { hasShared, shared } from '../../../support/shared.ts'
import { readableModels, recordedRuns } from '../../../support/shared-cases.ts'
import { quantizeStatic } from '../../../support/static.ts'

/** The recorded inputs of a shared model as calibration data. */
function calibrationOf(file: string): Partial<StaticOptions> {
  const name = basename(file, '.onnx')
  if (dirname(file) === 'own') return { calibration: shared(`own/${name}-inputs.npz`) }
  const inputs = inputsOf(readModel(shared(file))).map(({ name }) => [`in:${name}`, name])
  return { calibration: shared(`${dirname(file)}/io/${name}.npz`), calibrationInputs: Object.fromEntries(inputs) }
}

const SETTINGS: Record<string, Partial<StaticOptions>> = {
  'the default recipe': {},
  'every operator': { allOps: true, sparePairs: false, matmulConstOnly: false },
  'integer operators': { quantFormat: 'qoperator' },
}

describe.skipIf(!hasShared)('shared models', () => {
  const models = readableModels(['own', 'real', 'issues']).filter(
    (file) => file !== 'own/minilm.onnx' && recordedRuns(file).length > 0,
  )
  test.each(Object.keys(SETTINGS))('load, run and keep their signature: %s', { timeout: 300_000 }, async (setting) => {
    const ort = createOrtService()
    let quantized = 0
    for (const file of models) {
      const model = readModel(shared(file))
      const { feeds, expected } = recordedRuns(file)[0]!
      await ort.inferTypes(model)
      const signature = signatureOf(model)
      let changes: number
      try {
        ;({ changes } = await quantizeStatic(model, { ...calibrationOf(file), ...SETTINGS[setting] }))
      } catch (error) {
        // A refusal names what is wrong; anything else is a fault.
        if (error instanceof OnnxError && (error.code === 'ORT_REFUSED' || error.code === 'CALIBRATION_DATA')) continue
        throw new Error(`${file}: ${(error as Error).stack}`)
      }
      expect.soft(signatureOf(model), file).toBe(signature)
      if (!changes) continue
      quantized++
      const session = await passContext().ort.open(model, { graphOptimizationLevel: 'all' })
      const actual = await session.run(feeds)
      await session.release()
      for (const [name, tensor] of Object.entries(expected)) {
        if (tensor.dtype !== 'float32' || !tensor.elementCount) continue
        const floats = tensor.float32()
        if (!floats.every(Number.isFinite)) continue
        // Only what is broken is this far off: a lost Relu, a wrong scale. Quantizing everything leaves little of random weights.
        expect
          .soft(compare(floats, actual[name]!.float32()).sqnr, `${file} ${name}`)
          .toBeGreaterThanOrEqual(SETTINGS[setting]!.allOps ? 0 : 3)
      }
    }
    expect(quantized).toBeGreaterThan(60)
  })
})
