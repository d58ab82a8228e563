import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { Model } from '../../src/graph/model.ts'
import { readText } from '../../src/runtime/text.ts'
import type { IoInfo } from '../../src/runtime/types.ts'
import { process } from '../passes/processing/support.ts'
import { embeddings, writeTokenizer } from '../support/tokenizer.ts'

const folder = mkdtempSync(join(tmpdir(), 'tokens-'))
afterAll(() => rmSync(folder, { recursive: true }))
const file = join(folder, 'model.onnx')

writeTokenizer(folder)

async function reader(model: Model, step: string | object = 'tokens') {
  const { media, tokenizer: bytes } = await process(model, { preprocess: step as string }, file)
  const inputs = model.graph.inputs.map(({ name, dtype, shape }): IoInfo => {
    const found = media?.[name]
    return { name, dtype: dtype!, type: 'tensor', shape: shape!, ...(found ? { media: found } : {}) } as IoInfo
  })
  const read = readText(
    () => import('@huggingface/tokenizers'),
    async () => bytes!,
  )
  return { inputs, media, read: (given: unknown) => read(given, inputs) }
}

describe('texts as tokens', () => {
  test('one text; several are padded; pairs have types', async () => {
    const { read, media } = await reader(embeddings(11))
    expect(media).toEqual({ input_ids: { kind: 'text', maxLength: 9, vocabulary: 11 } })
    expect(await read('The cats sat')).toEqual({
      input_ids: { data: [2, 4, 5, 9, 6, 3], dims: [1, 6] },
      attention_mask: { data: [1, 1, 1, 1, 1, 1], dims: [1, 6] },
      token_type_ids: { data: [0, 0, 0, 0, 0, 0], dims: [1, 6] },
    })
    const two = await read(['cat', 'the mat'])
    expect(two['input_ids']).toEqual({ data: [2, 5, 3, 0, 2, 4, 8, 3], dims: [2, 4] })
    expect(two['attention_mask']).toEqual({ data: [1, 1, 1, 0, 1, 1, 1, 1], dims: [2, 4] })
    const pair = await read({ text: 'cat', textPair: 'dog' })
    expect(pair['input_ids']).toEqual({ data: [2, 5, 3, 1, 3], dims: [1, 5] })
    expect(pair['token_type_ids']).toEqual({ data: [0, 0, 0, 1, 1], dims: [1, 5] })
    expect(await read({ input_ids: 'cat' })).toEqual(await read('cat'))
  })

  test('configurations say by null what a tokenizer does not have', async () => {
    writeTokenizer(folder, { pad_token: null, sep_token: null, eos_token: null, model_max_length: null })
    const { read, media } = await reader(embeddings(11))
    writeTokenizer(folder)
    expect(media).toEqual({ input_ids: { kind: 'text', vocabulary: 11 } })
    expect((await read(['cat', 'the mat']))['input_ids']).toEqual({ data: [2, 5, 3, 0, 2, 4, 8, 3], dims: [2, 4] })
  })

  test('long texts are cut, the last special token stays', async () => {
    const { read } = await reader(embeddings(11), 'tokens(maxLength:4)')
    expect((await read('the cat sat on the mat'))['input_ids']).toEqual({ data: [2, 4, 5, 3], dims: [1, 4] })
  })

  test('feeds by name stay; tokens that the model does not have are refused', async () => {
    const { read } = await reader(embeddings(11))
    const feeds = { input_ids: [[2, 5, 3]], attention_mask: [[1, 1, 1]], token_type_ids: [[0, 0, 0]] }
    expect(await read(feeds)).toBe(feeds)
    for (const ids of [[[2, 11, 3]], BigInt64Array.of(2n, -1n), { data: Int32Array.of(40), dims: [1, 1] }])
      await expect(read({ ...feeds, input_ids: ids })).rejects.toMatchObject({ code: 'INPUT_TOKEN' })
  })

  test('a tokenizer with more tokens than the model is refused by the build', async () => {
    await expect(process(embeddings(10), { preprocess: 'tokens' }, file)).rejects.toMatchObject({
      code: 'TOKENIZER_VOCABULARY',
      what: 'the tokenizer has tokens up to number 10, and the model 10 tokens from 0 on',
    })
  })

  test.each([
    ['tokens(missing.json)', 'TOKENIZER_INVALID'],
    ['tokens(tokenizer_config.json)', 'TOKENIZER_INVALID'],
  ])('%s', async (step, code) => {
    await expect(process(embeddings(11), { preprocess: step }, file)).rejects.toMatchObject({ code })
  })

  test('a library that is not installed is said', async () => {
    const { inputs } = await reader(embeddings(11))
    const read = readText(
      () => Promise.reject(new Error("Cannot find package '@huggingface/tokenizers'")),
      async () => new Uint8Array(),
    )
    await expect(read('cat', inputs)).rejects.toMatchObject({
      code: 'INPUT_TEXT',
      message: expect.stringContaining('@huggingface/tokenizers'),
    })
  })
})
