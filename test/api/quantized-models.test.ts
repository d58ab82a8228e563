import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { globSync } from 'tinyglobby'
import { afterAll, describe, expect, test } from 'vitest'
import { createOptimizer, type Optimizer } from '../../src/api.ts'
import { readModel } from '../../src/graph/import.ts'
import { feedsFor } from '../../src/measure/inputs/index.ts'
import { saveInputs } from '../../src/measure/inputs/save.ts'
import { type Feeds, IsolatedOrt } from '../../src/measure/isolated.ts'
import { OnnxError } from '../../src/onnx/errors.ts'
import { signatureOf } from '../support/models.ts'
import { hasShared, shared, sharedDir } from '../support/shared.ts'
import { temporaryFolder } from '../support/temporary.ts'

/** What ONNX Runtime does with a model as it is: the signature, and made-up inputs that it runs with, if it does. */
async function original(file: string, ort: IsolatedOrt): Promise<{ signature?: string; feeds: Feeds[] }> {
  let signature: string | undefined
  try {
    const model = readModel(file)
    signature = signatureOf(model)
    const session = await ort.open(file)
    const feeds = await feedsFor(model, session, { files: [], samples: 3 })
    await session.run(feeds[0]!)
    return { signature, feeds }
  } catch (error) {
    if (!(error instanceof OnnxError)) throw error
    return { ...(signature === undefined ? {} : { signature }), feeds: [] }
  }
}

/** Models that no tool may quantize: their data lie outside of their folder. */
const REFUSED = ['real/ort-ext-arbitrary.onnx']

describe.skipIf(!hasShared)('models from public repositories and bug reports, as users build them', () => {
  const files = globSync(['{real,issues}/*.onnx'], { cwd: sharedDir }).sort()
  let optimizer: Optimizer | undefined
  afterAll(() => optimizer?.close())

  test.each(files)('%s: dynamic, static on made-up data, and 4 bits', { timeout: 240_000 }, async (name) => {
    optimizer ??= createOptimizer({ cache: { dir: temporaryFolder() } })
    const file = shared(name)
    const ort = new IsolatedOrt()
    const { signature, feeds } = await original(file, ort)
    const calibration = temporaryFolder()
    saveInputs(calibration, feeds)
    for (const options of [{ quantize: 'dynamic' }, { quantize: 'static', calibration }, { dtype: 'q4' }] as const) {
      const folder = temporaryFolder()
      const output = join(folder, 'model.onnx')
      const built = optimizer.transform(file, { ...options, output })
      if (REFUSED.includes(name)) {
        await expect(built).rejects.toMatchObject({ code: 'EXTERNAL_DATA_OUTSIDE' })
        expect(readdirSync(folder)).toEqual([])
        continue
      }
      await built
      expect(signatureOf(readModel(output))).toBe(signature)
      if (!feeds.length) continue
      const session = await ort.open(output, { graphOptimizationLevel: 'all' })
      for (const sample of feeds) await session.run(sample)
    }
    ort.close()
  })
})
