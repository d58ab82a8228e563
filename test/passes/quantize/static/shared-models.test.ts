import { basename, dirname } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readModel } from '../../../../src/graph/import.ts'
import { compare } from '../../../../src/kernels/index.ts'
import { feedsFor } from '../../../../src/measure/inputs/index.ts'
import { saveInputs } from '../../../../src/measure/inputs/save.ts'
import { IsolatedOrt } from '../../../../src/measure/isolated.ts'
import { OnnxError } from '../../../../src/onnx/errors.ts'
import { createOrtService } from '../../../../src/ort/service.ts'
import { inputsOf } from '../../../../src/passes/quantize/calibrate/data/index.ts'
import type { StaticOptions } from '../../../../src/passes/quantize/static/settings.ts'
import { bytesOf, passContext, signatureOf } from '../../../support/models.ts'
import { hasShared, shared } from '../../../support/shared.ts'
import { readableModels, recordedRuns } from '../../../support/shared-cases.ts'
import { quantizeStatic } from '../../../support/static.ts'
import { temporaryFolder } from '../../../support/temporary.ts'

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
  'all there are': { ops: ['*'], allOps: true, sparePairs: false, matmulConstOnly: false },
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

  test('models without recorded runs: on random inputs, or refused with a reason', { timeout: 120_000 }, async () => {
    const others = readableModels(['real', 'issues']).filter((file) => recordedRuns(file).length === 0)
    expect(others.length).toBeGreaterThan(5)
    const outcomes: Record<string, string> = {}
    for (const file of others) {
      const model = readModel(shared(file))
      const ort = new IsolatedOrt()
      try {
        const opened = await ort.open(shared(file))
        const feeds = await feedsFor(model, opened, { files: [], samples: 2 })
        const folder = temporaryFolder()
        saveInputs(folder, feeds)
        await createOrtService().inferTypes(model)
        const signature = signatureOf(model)
        const { changes } = await quantizeStatic(model, { calibration: folder })
        expect.soft(signatureOf(model), file).toBe(signature)
        const session = await ort.open(bytesOf(model), { graphOptimizationLevel: 'all' })
        await session.run(feeds[0]!)
        outcomes[file] = changes ? 'quantized' : 'float'
      } catch (error) {
        if (!(error instanceof OnnxError)) throw new Error(`${file}: ${(error as Error).stack}`)
        outcomes[file] = error.code
      } finally {
        ort.close()
      }
    }
    // What ONNX Runtime itself does not load, run or feed in Node; never a fault of this pass.
    const refusals = ['ORT_REFUSED', 'ORT_RUN_FAILED', 'INPUTS_UNKNOWN', 'ORT_CRASHED']
    for (const [file, outcome] of Object.entries(outcomes))
      expect.soft(['quantized', 'float', ...refusals], `${file}: ${outcome}`).toContain(outcome)
  })
})
