import { Tokenizer } from '@huggingface/tokenizers'
import { describe, expect, test } from 'vitest'
import { readAnswer } from '../../src/runtime/results/answer.ts'
import type { TextReader } from '../../src/runtime/text.ts'
import type { Answer, IoInfo } from '../../src/runtime/types.ts'

const special = (content: string, id: number) => ({ id, content, special: true, normalized: false })

/** Each byte is a token, as the largest vocabularies have them for what they do not know; a few are merged. */
function byteLevel(): object {
  // Bytes that can be printed stand for themselves, others come after all of these.
  const printed = [...Array(256).keys()].filter((b) => (b > 32 && b < 127) || (b > 160 && b !== 173))
  const others = [...Array(256).keys()].filter((b) => !printed.includes(b))
  const letters = [...printed.map((b) => String.fromCharCode(b)), ...others.map((_, i) => String.fromCharCode(256 + i))]
  const merges = ['t h', 'th e', 'Ġ the', 'c a', 'Ġ ca', 'Ġca t']
  const vocab = [...letters, ...merges.map((pair) => pair.replace(' ', ''))]
  return {
    version: '1.0',
    added_tokens: [special('<s>', 300), special('</s>', 301)],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: {
      type: 'RobertaProcessing',
      sep: ['</s>', 301],
      cls: ['<s>', 300],
      trim_offsets: true,
      add_prefix_space: false,
    },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: { type: 'BPE', vocab: Object.fromEntries(vocab.map((token, id) => [token, id])), merges },
  }
}

/** Pieces of words, of which the first has its space. */
function pieces(): object {
  const words = ['<s>', '</s>', '<unk>', '▁the', '▁cat', 's', '▁', 'm', 'a', 't', '▁on', '▁a', 'é', '!']
  const sequence = (id: string) => ({ Sequence: { id, type_id: 0 } })
  const token = (id: string) => ({ SpecialToken: { id, type_id: 0 } })
  return {
    version: '1.0',
    added_tokens: [special('<s>', 0), special('</s>', 1), special('<unk>', 2)],
    normalizer: null,
    pre_tokenizer: { type: 'Metaspace', replacement: '▁', add_prefix_space: true, prepend_scheme: 'always' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [token('<s>'), sequence('A'), token('</s>')],
      pair: [token('<s>'), sequence('A'), token('</s>'), token('</s>'), sequence('B'), token('</s>')],
      special_tokens: {
        '<s>': { id: '<s>', ids: [0], tokens: ['<s>'] },
        '</s>': { id: '</s>', ids: [1], tokens: ['</s>'] },
      },
    },
    decoder: { type: 'Metaspace', replacement: '▁', add_prefix_space: true, prepend_scheme: 'always' },
    model: { type: 'Unigram', unk_id: 2, vocab: words.map((word) => [word, word === '▁' ? -9 : -2 - 1 / word.length]) },
  }
}

const inputs: readonly IoInfo[] = [{ name: 'ids', type: 'tensor(int64)', shape: ['b', 'n'], media: { kind: 'text' } }]
const names = { start: 'start', end: 'end', score: 'score' }

/** What the tokens from `first` to `last` of the context are in it. */
async function answer(definition: object, context: string, first: number, last: number, left = false): Promise<Answer> {
  const tokenizer = new Tokenizer(definition, {})
  const reader = { open: async () => ({ tokenizer, fill: 0, left }) } as unknown as TextReader
  const whole = tokenizer.encode('the cat', { text_pair: context }).ids
  const own = tokenizer.encode(context, { add_special_tokens: false }).ids
  const begin = whole.length - 1 - own.length
  expect(whole.slice(begin, -1)).toEqual(own)
  const outputs = {
    start: { dims: [1, 1], data: [BigInt(begin + first)] },
    end: { dims: [1, 1], data: [BigInt(begin + last)] },
    score: { dims: [1, 1], data: [0.5] },
  }
  const [found] = (await readAnswer(reader)(outputs, names, { text: 'the cat', textPair: context }, inputs)) as Answer[]
  return found!
}

describe('tokens are found in the text as it is written', () => {
  const bytes = 'the cat, Zoë’s 😀 “ÎLE”: the  cat\nend.'
  test('tokens of bytes: every word of the context, also where a token is a part of a character', async () => {
    const tokenizer = new Tokenizer(byteLevel(), {})
    const sizes = (text: string) => tokenizer.encode(text, { add_special_tokens: false }).ids.length
    for (const word of ['cat', 'Zoë’s', '😀', '“ÎLE”', 'end']) {
      const at = bytes.indexOf(word)
      const first = sizes(bytes.slice(0, at).trimEnd())
      const last = sizes(bytes.slice(0, at + word.length)) - 1
      const found = await answer(byteLevel(), bytes, first, last)
      expect(found).toMatchObject({ text: word, start: at, end: at + word.length })
    }
  })

  test('pieces with their space; what is unknown lies between what is known', async () => {
    const context = 'the cats  on a matét 漢字 the mat!'
    const tokenizer = new Tokenizer(pieces(), {})
    const tokens = tokenizer.tokenize(context, { add_special_tokens: false })
    const first = (piece: string, after = 0) => tokens.indexOf(piece, after)
    expect(await answer(pieces(), context, first('▁cat'), first('▁cat') + 1)).toMatchObject({ text: 'cats', start: 4 })
    const second = first('▁the', 1)
    expect((await answer(pieces(), context, second, tokens.length - 1)).text).toBe('the mat!')
    const unknown = await answer(pieces(), context, first('▁a'), second)
    expect(unknown.text).toBe('a matét 漢字 the')
    expect((await answer(pieces(), context, second - 1, second - 1)).text).toContain('字')
  })

  test('before the context there is no answer', async () => {
    expect(await answer(pieces(), 'the cat', -3, 0)).toEqual({ text: '', start: 0, end: 0, score: 0.5 })
  })
})
