import { zeros } from '../elements.ts'
import { OnnxSessionError } from '../error.ts'
import { fromHalf } from '../float16.ts'
import type { OnnxTensor } from '../tensor.ts'
import type { IoInfo } from '../types.ts'
import { cacheSlots, emptyCache } from './past.ts'
import { type SampleOptions, sampler } from './sample.ts'

export type { SampleOptions } from './sample.ts'

/** The part of a session that generation uses. */
export interface DecoderSession {
  readonly inputs: readonly IoInfo[]
  readonly outputs: readonly IoInfo[]
  run(feeds: never, options?: never): Promise<object>
}

export interface GenerateOptions {
  /**
   * `input_ids`, the tokens so far, of one sequence; and whatever else the model takes and is the same in each step, such
   * as `encoder_hidden_states`. `attention_mask` and `position_ids` are made here.
   */
  inputs: { readonly input_ids: ArrayLike<number | bigint>; readonly [name: string]: unknown }
  /** Stops after this many new tokens. */
  maxNewTokens: number
  /** Tokens that end the text. They are given out too. */
  eos?: number | readonly number[]
  /** How tokens are drawn. Default: always the most likely one. */
  sample?: SampleOptions
  /** Stops before the next token, by throwing the signal's reason. */
  signal?: AbortSignal
}

/** Options of {@link generateBatch}. */
export interface BatchOptions extends Omit<GenerateOptions, 'inputs'> {
  /** As in `GenerateOptions`, with the tokens of several sequences, of any lengths. */
  inputs: { readonly input_ids: readonly ArrayLike<number | bigint>[]; readonly [name: string]: unknown }
  /** Token that fills up shorter sequences at their beginning. The mask hides it. Default 0. */
  pad?: number
}

/**
 * Continues a text with a decoder, token by token. Where the model takes the keys and values of earlier tokens
 * (`past_...`), it computes new tokens only, and the cache stays wherever the session keeps it (see `keep` of the model's
 * options); without them it reads the whole text at each step.
 *
 * @throws OnnxSessionError `GENERATE_MODEL` if the model is no decoder that can be driven, `GENERATE_OPTION` for options
 * out of range, and what `session.run` throws
 */
export async function* generate(session: DecoderSession, options: GenerateOptions): AsyncGenerator<number, void> {
  const tokens = readTokens(options.inputs.input_ids)
  for await (const [token] of decode(session, options, [tokens], 0)) yield token!
}

/**
 * Continues several texts at once: each step gives the next token of every sequence, undefined for those that have ended.
 * Shorter sequences are filled up at their beginning, which the model has to be told: sequences of different lengths need its
 * inputs `attention_mask` and `position_ids`.
 *
 * @throws OnnxSessionError as {@link generate}
 */
export async function* generateBatch(
  session: DecoderSession,
  options: BatchOptions,
): AsyncGenerator<(number | undefined)[], void> {
  const rows = Array.from(options.inputs.input_ids, readTokens)
  if (!rows.length) throw new OnnxSessionError('GENERATE_OPTION', 'input_ids has no sequence')
  const isRagged = rows.some(({ length }) => length !== rows[0]!.length)
  const has = (name: string) => session.inputs.some((input) => input.name === name)
  if (isRagged && !(has('attention_mask') && has('position_ids')))
    throw new OnnxSessionError(
      'GENERATE_MODEL',
      'sequences of different lengths need the inputs "attention_mask" and "position_ids", which the model lacks',
    )
  yield* decode(session, options, rows, options.pad ?? 0)
}

function readTokens(tokens: ArrayLike<number | bigint>): number[] {
  const read = Array.from(tokens, (token) => {
    if (typeof token === 'number' || typeof token === 'bigint') return Number(token)
    throw new OnnxSessionError('GENERATE_OPTION', 'input_ids are not the tokens of one sequence, in one array')
  })
  if (!read.length) throw new OnnxSessionError('GENERATE_OPTION', 'input_ids has no token to start from')
  return read
}

/** One token of each sequence per step. Sequences begin with `pad` where they are shorter than the longest. */
async function* decode(
  session: DecoderSession,
  options: GenerateOptions | BatchOptions,
  prompts: readonly number[][],
  pad: number,
): AsyncGenerator<(number | undefined)[], void> {
  const { maxNewTokens, eos = [], signal } = options
  const { input_ids: _, ...constant } = options.inputs
  const ends = typeof eos === 'number' ? [eos] : eos
  if (!(maxNewTokens >= 0)) throw new OnnxSessionError('GENERATE_OPTION', `maxNewTokens is ${maxNewTokens}`)
  const draw = sampler(options.sample)
  const longest = Math.max(...prompts.map(({ length }) => length))
  const rows = prompts.map((tokens): Row => {
    const pads = longest - tokens.length
    return { tokens: [...Array<number>(pads).fill(pad), ...tokens], pads, hasEnded: false }
  })
  const logits = logitsOf(session.outputs)
  // A negative token would count from the end of the vocabulary, and one beyond it fails deep inside of the model.
  const vocabulary = session.outputs.find(({ name }) => name === logits)?.shape?.at(-1)
  const limit = typeof vocabulary === 'number' ? vocabulary : Number.POSITIVE_INFINITY
  const wrong = prompts.flat().find((token) => !(Number.isInteger(token) && token >= 0 && token < limit))
  if (wrong !== undefined)
    throw new OnnxSessionError('GENERATE_OPTION', `input_ids has the token ${wrong}; the vocabulary has ${limit}`)
  const slots = cacheSlots(session.inputs, session.outputs)
  const made = session.inputs.filter(({ name }) => MADE.has(name) && !Object.hasOwn(constant, name))
  const keep = slots.map(({ output }) => output)
  const runOptions = { outputs: [logits, ...keep], keep }
  let cache: { [name: string]: unknown } = Object.fromEntries(
    slots.map(({ input }) => {
      const dims = emptyCache(input, rows.length)
      return [input.name, { data: zeros(input.dtype ?? '', product(dims)), dims }]
    }),
  )
  let held: OnnxTensor[] = []
  try {
    for (let seen = 0, count = 0; count < maxNewTokens; count++) {
      signal?.throwIfAborted()
      const feeds: { [name: string]: unknown } = { ...constant, ...cache }
      for (const { name } of made) feeds[name] = MADE.get(name)!(rows, seen)
      const results = (await session.run(feeds as never, runOptions as never)) as {
        [name: string]: OnnxTensor
      }
      const { [logits]: scores, ...present } = results
      if (slots.length) {
        const before = cache
        cache = Object.fromEntries(
          slots.map(({ input: { name }, output }) => {
            const next = present[output]!
            // A merged decoder gives the keys of the encoder once and empty tensors from then on.
            const isKept = seen > 0 && name.includes('encoder') && product(next.dims) === 0
            return [name, isKept ? before[name] : next]
          }),
        )
        const alive = new Set(Object.values(cache))
        for (const tensor of [...held, ...Object.values(present)]) if (!alive.has(tensor)) tensor.dispose()
        held = [...alive] as OnnxTensor[]
        seen = rows[0]!.tokens.length
      }
      const last = await lastRows(scores!, rows.length)
      const step = rows.map((row, at) => {
        const token = row.hasEnded ? undefined : draw(last(at))
        row.tokens.push(token ?? pad)
        row.hasEnded ||= ends.includes(token!)
        return token
      })
      yield step
      if (rows.every(({ hasEnded }) => hasEnded)) return
    }
  } finally {
    for (const tensor of held) tensor.dispose()
  }
}

/** A sequence: its tokens, the first `pads` of which fill it up. */
interface Row {
  tokens: number[]
  pads: number
  hasEnded: boolean
}

/** Inputs that follow from the tokens, of which the cache holds the first `seen`. All are `[sequences, length]`. */
const MADE: ReadonlyMap<string, (rows: readonly Row[], seen: number) => unknown> = new Map([
  ['input_ids', (rows, seen) => rows.map(({ tokens }) => tokens.slice(seen))],
  ['attention_mask', (rows) => rows.map(({ tokens, pads }) => tokens.map((_, at) => (at < pads ? 0 : 1)))],
  [
    'position_ids',
    (rows, seen) => rows.map(({ tokens, pads }) => tokens.slice(seen).map((_, i) => Math.max(0, seen + i - pads))),
  ],
  ['token_type_ids', (rows, seen) => rows.map(({ tokens }) => tokens.slice(seen).map(() => 0))],
  ['use_cache_branch', (_, seen) => [seen > 0]],
] as [string, (rows: readonly Row[], seen: number) => unknown][])

function logitsOf(outputs: readonly IoInfo[]): string {
  const found = outputs.find(({ name }) => name === 'logits') ?? outputs.find(({ shape }) => shape?.length === 3)
  if (found) return found.name
  throw new OnnxSessionError('GENERATE_MODEL', 'no output "logits" and none of rank 3: this is no decoder')
}

/** The logits of the last token of each sequence; `[sequences, length, vocabulary]` and `[sequences, vocabulary]` are both read. */
async function lastRows(scores: OnnxTensor, count: number): Promise<(row: number) => ArrayLike<number>> {
  const data = (await scores.getData()) as Float32Array | Uint16Array
  const vocabulary = scores.dims[scores.dims.length - 1]!
  const length = data.length / count
  const isHalf = scores.type === 'float16'
  const rows = Array.from({ length: count }, (_, row) => {
    const values = data.subarray((row + 1) * length - vocabulary, (row + 1) * length)
    return isHalf ? Float32Array.from(values, fromHalf) : Float32Array.from(values)
  })
  scores.dispose()
  return (row) => rows[row]!
}

function product(dims: readonly number[]): number {
  return dims.reduce((total, size) => total * size, 1)
}
