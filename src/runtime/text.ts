import { OnnxSessionError, reasonOf } from './error.ts'
import type { MediaReader } from './media.ts'
import type { IoInfo } from './types.ts'

/** The part of `@huggingface/tokenizers` that is used. */
export interface Tokenizer {
  encode(text: string, options: object): { ids: number[]; token_type_ids?: number[] }
  decode(ids: number[], options: object): string
  token_to_id(token: string): number | undefined
}
interface Library {
  Tokenizer: new (tokenizer: object, config: object) => Tokenizer
}

/** What the emitted file of a tokenizer holds. */
interface Definition {
  tokenizer: object
  config: { pad_token?: string | { content: string } | null; padding_side?: string }
}

type Texts = string | readonly string[]
type TextMedia = { kind: 'text'; maxLength?: number; vocabulary?: number }

const isTexts = (value: unknown): value is Texts =>
  typeof value === 'string' ||
  (Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === 'string'))

/** A reader of texts, with its tokenizer. */
export interface TextReader extends MediaReader {
  open(): Promise<{ tokenizer: Tokenizer; fill: number; left: boolean }>
}

/**
 * Reads texts for the token inputs of a model: ids, mask, types, positions, each as far as the model has it. Several texts are
 * padded to the longest, long ones cut at the end.
 *
 * @param library imports the tokenizer library
 * @param load gives the bytes of the tokenizer's file; both once, with the first text
 * @param next reads what is no text
 */
export function readText(
  library: () => Promise<unknown>,
  load: () => Promise<Uint8Array>,
  next?: MediaReader,
): TextReader {
  let opened: ReturnType<TextReader['open']> | undefined
  const start = async () => {
    const [{ Tokenizer }, bytes] = await Promise.all([library() as Promise<Library>, load()])
    const { tokenizer: definition, config } = JSON.parse(new TextDecoder().decode(bytes)) as Definition
    const tokenizer = new Tokenizer(definition, config)
    const { pad_token: pad, padding_side: side } = config
    const fill = tokenizer.token_to_id((typeof pad === 'string' ? pad : pad?.content) ?? '') ?? 0
    return { tokenizer, fill, left: side === 'left' }
  }
  const open = () => {
    opened ??= start()
    return opened
  }
  const read: MediaReader = async (given, inputs) => {
    const input = inputs.find(({ media }) => media?.kind === 'text')!
    const media = input.media as TextMedia
    const fields = (typeof given === 'object' && given !== null ? given : {}) as { [name: string]: unknown }
    const { text, textPair, [input.name]: named, ...rest } = fields
    const texts = isTexts(given) ? given : isTexts(text) ? text : named
    if (!isTexts(texts)) {
      checkIds(input.name, (named as { data?: unknown } | undefined)?.data ?? named, media.vocabulary)
      return next ? next(given, inputs) : (given as { [name: string]: unknown })
    }
    try {
      const { tokenizer, fill, left } = await open()
      const pairs = textPair === undefined ? [] : [textPair as Texts].flat()
      const rows = [texts].flat().map((one, at) => encode(tokenizer, one, pairs[at], limit(input)))
      const tokens = assemble(rows, inputs, input, fill, left)
      checkIds(input.name, tokens[input.name]!.data, media.vocabulary)
      return { ...rest, ...tokens }
    } catch (error) {
      if (error instanceof OnnxSessionError) throw error
      opened = undefined
      throw new OnnxSessionError('INPUT_TEXT', `input "${input.name}": no tokens: ${reasonOf(error)}`, error)
    }
  }
  return Object.assign(read, { open })
}

/** @throws OnnxSessionError INPUT_TOKEN, where ONNX Runtime would fail deep inside of the model. */
function checkIds(input: string, data: unknown, vocabulary: number | undefined): void {
  if (vocabulary === undefined || typeof data !== 'object' || data === null) return
  for (const id of Array.isArray(data) ? data.flat(3) : (data as Iterable<number | bigint>)) {
    if (id < 0 || id >= vocabulary)
      throw new OnnxSessionError(
        'INPUT_TOKEN',
        `input "${input}": the model has ${vocabulary} tokens, and no token ${id}`,
      )
  }
}

/** How many tokens the input takes. */
export function limit({ shape, media }: IoInfo): number {
  const { maxLength = Number.POSITIVE_INFINITY } = media as TextMedia
  const length = shape?.[1]
  return typeof length === 'number' ? Math.min(length, maxLength) : maxLength
}

interface Row {
  ids: number[]
  types: number[]
}

/** Special tokens at the end stay where a text is cut. */
export function encode(tokenizer: Tokenizer, text: string, pair: string | undefined, most: number): Row {
  const { ids, token_type_ids: types = ids.map(() => 0) } = tokenizer.encode(text, {
    ...(pair === undefined ? {} : { text_pair: pair }),
    return_token_type_ids: true,
  })
  if (ids.length <= most) return { ids, types }
  const tail = tailOf(tokenizer, ids)
  const cut = (list: number[]) => [...list.slice(0, most - tail), ...list.slice(list.length - tail)]
  return { ids: cut(ids), types: cut(types) }
}

/** How many special tokens end a text. */
export function tailOf(tokenizer: Tokenizer, ids: readonly number[]): number {
  const special = tokenizer.encode('', {}).ids
  let tail = 0
  while (tail < special.length && special.at(-1 - tail) === ids.at(-1 - tail)) tail++
  return tail
}

/** Feeds of all token inputs, [texts, length]; `first` is the one of the ids. */
function assemble(rows: readonly Row[], inputs: readonly IoInfo[], first: IoInfo, fill: number, left: boolean) {
  const fixed = first.shape?.[1]
  const length = typeof fixed === 'number' ? fixed : Math.max(...rows.map(({ ids }) => ids.length))
  const table = (list: (row: Row) => number[], value: number) => {
    const data = rows.flatMap((row) => {
      const filling = new Array<number>(length - row.ids.length).fill(value)
      return left ? [...filling, ...list(row)] : [...list(row), ...filling]
    })
    return { data, dims: [rows.length, length] }
  }
  const feeds: { [name: string]: { data: number[]; dims: number[] } } = {}
  for (const { name } of inputs) {
    if (name === first.name) feeds[name] = table(({ ids }) => ids, fill)
    else if (/mask$/.test(name)) feeds[name] = table(({ ids }) => ids.map(() => 1), 0)
    else if (/(type|segment)_ids$/.test(name)) feeds[name] = table(({ types }) => types, 0)
    else if (/position_ids$/.test(name)) feeds[name] = table(({ ids }) => ids.map((_, at) => at), 0)
  }
  return feeds
}
