import { copyFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { env, pipeline } from '@huggingface/transformers'
import { expect, test } from 'vitest'
import type { TransformOptions } from '../../src/api.ts'
import { createOptimizer } from '../../src/api.ts'

type DtypeName = NonNullable<TransformOptions['dtype']>

import { readModel } from '../../src/graph/import.ts'
import { writeModel } from '../../src/graph/write.ts'
import { hasShared, shared } from '../support/shared.ts'
import { temporaryFolder } from '../support/temporary.ts'

const WORDS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'the', 'cat', 'sat', 'on', 'mat', '##s', 'a', 'dog']

/** A repository of a tiny BERT with a WordPiece tokenizer of a few words. */
function writeSource(folder: string): string {
  const vocab = Object.fromEntries(WORDS.map((word, id) => [word, id]))
  const files = {
    'config.json': { model_type: 'bert', architectures: ['BertModel'], hidden_size: 32, vocab_size: WORDS.length },
    'tokenizer_config.json': { tokenizer_class: 'BertTokenizer', do_lower_case: true, model_max_length: 64 },
    'tokenizer.json': {
      version: '1.0',
      added_tokens: WORDS.slice(0, 5).map((content, id) => ({
        id,
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      })),
      normalizer: {
        type: 'BertNormalizer',
        clean_text: true,
        handle_chinese_chars: true,
        strip_accents: null,
        lowercase: true,
      },
      pre_tokenizer: { type: 'BertPreTokenizer' },
      post_processor: {
        type: 'TemplateProcessing',
        single: [
          { SpecialToken: { id: '[CLS]', type_id: 0 } },
          { Sequence: { id: 'A', type_id: 0 } },
          { SpecialToken: { id: '[SEP]', type_id: 0 } },
        ],
        pair: [],
        special_tokens: {
          '[CLS]': { id: '[CLS]', ids: [2], tokens: ['[CLS]'] },
          '[SEP]': { id: '[SEP]', ids: [3], tokens: ['[SEP]'] },
        },
      },
      decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
      model: {
        type: 'WordPiece',
        unk_token: '[UNK]',
        continuing_subword_prefix: '##',
        max_input_chars_per_word: 100,
        vocab,
      },
    },
  }
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), JSON.stringify(content))
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
  expect((await extract('a dog', { pooling: 'mean' })).dims).toEqual([1, 32])
  await extract.dispose()
})
