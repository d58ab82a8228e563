import { copyFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { env, pipeline } from '@huggingface/transformers'
import { expect, test } from 'vitest'
import { createOptimizer, type TransformOptions } from '../../src/api.ts'
import { readModel } from '../../src/graph/import.ts'
import { writeModel } from '../../src/graph/write.ts'
import { hasShared, shared } from '../support/shared.ts'
import { temporaryFolder } from '../support/temporary.ts'
import { writeTokenizer } from '../support/tokenizer.ts'

type DtypeName = NonNullable<TransformOptions['dtype']>

/** A repository of a tiny BERT, with a tokenizer of a few words. */
function writeSource(folder: string): string {
  const config = { model_type: 'bert', architectures: ['BertModel'], hidden_size: 32 }
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
  writeTokenizer(folder, { tokenizer_class: 'BertTokenizer', do_lower_case: true, model_max_length: 64 })
  const model = join(folder, 'model.onnx')
  copyFileSync(shared('own/tiny-bert.onnx'), model)
  return model
}

/** Smallest cosine to the float32 model's result that a dtype may have; random weights do not forgive much. */
const LEAST: Readonly<Record<DtypeName, number>> = {
  fp32: 0.999999,
  fp16: 0.9999,
  q8: 0.98,
  int8: 0.98,
  uint8: 0.98,
  q4: 0.9,
  q4f16: 0.9,
  bnb4: 0.9,
}

test.skipIf(!hasShared)(
  'transformers.js loads every dtype from disk, offline',
  async () => {
    const folder = temporaryFolder()
    const model = writeSource(folder)
    const repository = join(folder, 'repositories/tiny')
    const optimizer = createOptimizer({ root: folder })
    const dtypes = Object.keys(LEAST) as DtypeName[]
    for (const dtype of dtypes) await optimizer.transform(model, { dtype, emit: 'huggingface', output: repository })
    await optimizer.close()
    expect(readdirSync(join(repository, 'onnx'))).toContain('model_q4f16.onnx')
    expect(readdirSync(repository)).toEqual(['config.json', 'onnx', 'tokenizer.json', 'tokenizer_config.json'])

    env.allowRemoteModels = false
    env.localModelPath = join(folder, 'repositories')
    const results = new Map<string, Float32Array>()
    for (const dtype of dtypes) {
      const extract = await pipeline('feature-extraction', 'tiny', { dtype, device: 'cpu' })
      const { data, dims } = await extract('The cat sat on a mat', { pooling: 'mean', normalize: true })
      expect(dims).toEqual([1, 32])
      results.set(dtype, data as Float32Array)
      await extract.dispose()
    }
    const reference = results.get('fp32')!
    for (const [dtype, data] of results)
      expect(
        data.reduce((sum, x, i) => sum + x * reference[i]!, 0),
        dtype,
      ).toBeGreaterThan(LEAST[dtype as DtypeName])
  },
  120_000,
)

test.skipIf(!hasShared)('transformers.js finds the data files', async () => {
  const folder = temporaryFolder()
  const file = writeSource(folder)
  rmSync(file)
  await writeModel(readModel(shared('own/tiny-bert.onnx')), file, {
    external: 'always',
    location: 'weights.bin',
  })
  const repository = join(folder, 'repositories/external')
  const optimizer = createOptimizer({ root: folder })
  await optimizer.transform(file, { optimize: 'none', dtype: 'fp32', emit: 'huggingface', output: repository })
  await optimizer.close()
  expect(readdirSync(join(repository, 'onnx'))).toEqual(['model.onnx', 'model.onnx_data'])
  env.allowRemoteModels = false
  env.localModelPath = join(folder, 'repositories')
  const extract = await pipeline('feature-extraction', 'external', {
    dtype: 'fp32',
    device: 'cpu',
    use_external_data_format: true,
  })
  expect((await extract('a cat', { pooling: 'mean' })).dims).toEqual([1, 32])
  await extract.dispose()
})
