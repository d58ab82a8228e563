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

/**
 * Continues a text with a decoder, token by token. Where the model takes the keys and values of earlier tokens
 * (`past_...`), it computes new tokens only, and the cache stays wherever the session keeps it (see `keep` of the model's
 * options); without them it reads the whole text at each step.
 *
 * @throws OnnxSessionError `GENERATE_MODEL` if the model is no decoder that can be driven, `GENERATE_OPTION` for options
 * out of range, and what `session.run` throws
 */
export async function* generate(session: DecoderSession, options: GenerateOptions): AsyncGenerator<number, void> {
  const { maxNewTokens, eos = [], signal } = options
  const { input_ids, ...constant } = options.inputs
  const ends = typeof eos === 'number' ? [eos] : eos
  if (!(maxNewTokens >= 0)) throw new OnnxSessionError('GENERATE_OPTION', `maxNewTokens is ${maxNewTokens}`)
  const draw = sampler(options.sample)
  const tokens = Array.from(input_ids, (token) => {
    if (typeof token === 'number' || typeof token === 'bigint') return Number(token)
    throw new OnnxSessionError('GENERATE_OPTION', 'input_ids are not the tokens of one sequence, in one array')
  })
  if (!tokens.length) throw new OnnxSessionError('GENERATE_OPTION', 'input_ids has no token to start from')
  const logits = logitsOf(session.outputs)
  const slots = cacheSlots(session.inputs, session.outputs)
  const made = session.inputs.filter(({ name }) => MADE.has(name) && !Object.hasOwn(constant, name))
  const fetches = [logits, ...slots.map(({ output }) => output)]
  let cache: { [name: string]: unknown } = Object.fromEntries(
    slots.map(({ input }) => {
      const dims = emptyCache(input)
      return [input.name, { data: zeros(input.dtype ?? '', product(dims)), dims }]
    }),
  )
  let held: OnnxTensor[] = []
  try {
    for (let seen = 0, count = 0; count < maxNewTokens; count++) {
      signal?.throwIfAborted()
      const feeds: { [name: string]: unknown } = { ...constant, ...cache }
      for (const { name } of made) feeds[name] = MADE.get(name)!(tokens, seen)
      const results = (await session.run(feeds as never, { outputs: fetches } as never)) as {
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
        seen = tokens.length
      }
      const token = draw(await lastRow(scores!))
      tokens.push(token)
      yield token
      if (ends.includes(token)) return
    }
  } finally {
    for (const tensor of held) tensor.dispose()
  }
}

/** Inputs that follow from the tokens, of which the cache holds the first `seen`. All are `[1, length]`. */
const MADE: ReadonlyMap<string, (tokens: readonly number[], seen: number) => unknown> = new Map([
  ['input_ids', (tokens, seen) => [tokens.slice(seen)]],
  ['attention_mask', (tokens) => [tokens.map(() => 1)]],
  ['position_ids', (tokens, seen) => [tokens.slice(seen).map((_, i) => seen + i)]],
  ['token_type_ids', (tokens, seen) => [tokens.slice(seen).map(() => 0)]],
  ['use_cache_branch', (_, seen) => [seen > 0]],
] as [string, (tokens: readonly number[], seen: number) => unknown][])

function logitsOf(outputs: readonly IoInfo[]): string {
  const found = outputs.find(({ name }) => name === 'logits') ?? outputs.find(({ shape }) => shape?.length === 3)
  if (found) return found.name
  throw new OnnxSessionError('GENERATE_MODEL', 'no output "logits" and none of rank 3: this is no decoder')
}

/** The logits of the last token; `[1, length, vocabulary]` and `[1, vocabulary]` are both read. */
async function lastRow(scores: OnnxTensor): Promise<ArrayLike<number>> {
  const data = (await scores.getData()) as Float32Array | Uint16Array
  const row = data.subarray(data.length - scores.dims[scores.dims.length - 1]!)
  const values = scores.type === 'float16' ? Float32Array.from(row, fromHalf) : Float32Array.from(row)
  scores.dispose()
  return values
}

function product(dims: readonly number[]): number {
  return dims.reduce((total, size) => total * size, 1)
}
