import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { int } from '../../src/graph/attributes.ts'
import type { Model } from '../../src/graph/model.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import { tensorType } from '../../src/graph/types.ts'
import { buildModel, copyOf } from './models.ts'

const SPECIAL = ['[PAD]', '[UNK]', '[CLS]', '[SEP]']
const WORDS = [...SPECIAL, 'the', 'cat', 'sat', 'on', 'mat', '##s', 'a']
const template = (types: object) => ({ SpecialToken: types })
const tokenizer = {
  version: '1.0',
  added_tokens: SPECIAL.map((content, id) => ({ id, content, special: true, normalized: false })),
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
      template({ id: '[CLS]', type_id: 0 }),
      { Sequence: { id: 'A', type_id: 0 } },
      template({ id: '[SEP]', type_id: 0 }),
    ],
    pair: [
      template({ id: '[CLS]', type_id: 0 }),
      { Sequence: { id: 'A', type_id: 0 } },
      template({ id: '[SEP]', type_id: 0 }),
      { Sequence: { id: 'B', type_id: 1 } },
      template({ id: '[SEP]', type_id: 1 }),
    ],
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
    vocab: Object.fromEntries(WORDS.map((word, id) => [word, id])),
  },
}

/** Writes a tokenizer of eleven tokens, as BERT has them, and its configuration: at most nine tokens unless it is given. */
export function writeTokenizer(folder: string, config: object = { pad_token: '[PAD]', model_max_length: 9 }): void {
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer))
  writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify(config))
}

/** Looks up ids in a table of `rows`, where each is ten times its number; takes a mask and types besides. */
export function embeddings(rows: number): Model {
  return copyOf(
    buildModel(18, (graph, input) => {
      const names = ['input_ids', 'attention_mask', 'token_type_ids'] as const
      const [ids, mask, types] = names.map((name) => input(name, ['batch', 'sequence'], 'int64'))
      const table = graph.addInitializer(
        'table',
        Tensor.float32(
          [rows, 1],
          Float32Array.from({ length: rows }, (_, id) => id * 10),
        ),
      )
      const typeOfRows = [tensorType('float32', ['batch', 'sequence', 1])]
      const found = graph.insert({ op: 'Gather', inputs: [table, ids!], outputs: ['y'], types: typeOfRows }).output()
      const sum = graph.insert({ op: 'Add', inputs: [mask!, types!], attributes: {} }).output()
      const typeOfSum = [tensorType('float32', ['batch', 'sequence'])]
      return [found, graph.insert({ op: 'Cast', inputs: [sum], attributes: { to: int(1) }, types: typeOfSum }).output()]
    }),
  )
}
