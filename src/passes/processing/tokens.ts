import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Model } from '../../graph/model.ts'
import type { Value } from '../../graph/value.ts'
import { OnnxError } from '../../onnx/errors.ts'
import type { StepValue } from '../../params/spec.ts'
import type { Media } from '../pass.ts'
import { locate } from './index.ts'
import { inputsOf } from './model-input.ts'

interface TokenizerFile {
  model?: { vocab?: Readonly<Record<string, number>> | readonly unknown[] }
  added_tokens?: readonly { id: number; content: string }[]
}

/** Null in configurations that say that there is none. */
type Token = string | { content: string } | null
interface TokenizerConfig {
  model_max_length?: number | null
  sep_token?: Token
  eos_token?: Token
}

/** The token between two texts, and the input that it is in. */
export interface Separator {
  ids: Value
  token: number
}

/** The token that ends a text, by the configuration or by its usual names. */
function separatorOf({ added_tokens = [] }: TokenizerFile, config: TokenizerConfig): number | undefined {
  const named = [config.sep_token, config.eos_token].flatMap((token) =>
    typeof token === 'string' ? token : (token?.content ?? []),
  )
  for (const name of [...named, '[SEP]', '</s>']) {
    const found = added_tokens.find(({ content }) => content === name)
    if (found) return found.id
  }
  return undefined
}

/**
 * What the wrapper needs for texts: the tokenizer with its configuration, as one file, and the input that takes its ids.
 *
 * @throws OnnxError `TOKENIZER_INVALID`; `TOKENIZER_VOCABULARY` where it has tokens that the model has not; `PROCESSING_INPUT`
 */
export function readTokens(
  model: Model,
  { tokenizer, maxLength }: StepValue,
  file: string,
): { tokenizer: Uint8Array; media: Record<string, Media>; separator?: Separator } {
  const path = locate(typeof tokenizer === 'string' ? tokenizer : 'tokenizer.json', file)
  const definition = readJson(path) as TokenizerFile
  const { vocab } = definition.model ?? {}
  if (!vocab)
    throw new OnnxError('TOKENIZER_INVALID', `${path} is no tokenizer: it has no vocabulary`, {
      hint: 'It takes the tokenizer.json of Hugging Face tokenizers.',
    })
  const beside = join(dirname(path), 'tokenizer_config.json')
  const config = (existsSync(beside) ? readJson(beside) : {}) as TokenizerConfig
  const input = tokenInput(model)
  const vocabulary = tableSize(input)
  const known = Array.isArray(vocab) ? vocab.map((_, id) => id) : Object.values(vocab as Record<string, number>)
  const last = [...known, ...(definition.added_tokens ?? []).map(({ id }) => id)].reduce((a, b) => Math.max(a, b), 0)
  if (vocabulary !== undefined && last >= vocabulary)
    throw new OnnxError(
      'TOKENIZER_VOCABULARY',
      `the tokenizer has tokens up to number ${last}, and the model ${vocabulary} tokens from 0 on`,
      { hint: `Is ${path} the tokenizer of this model?` },
    )
  // Configurations write "no limit" as a huge number.
  const own = config.model_max_length
  const most = (maxLength as number | undefined) ?? (typeof own === 'number' && own < 1e6 ? own : undefined)
  const separator = separatorOf(definition, config)
  return {
    ...(separator === undefined ? {} : { separator: { ids: input, token: separator } }),
    tokenizer: new TextEncoder().encode(JSON.stringify({ tokenizer: definition, config })),
    media: {
      [input.name]: {
        kind: 'text',
        ...(most === undefined ? {} : { maxLength: most }),
        ...(vocabulary === undefined ? {} : { vocabulary }),
      },
    },
  }
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (cause) {
    throw new OnnxError('TOKENIZER_INVALID', `the tokenizer ${path} can't be read: ${(cause as Error).message}`, {
      hint: 'Put the tokenizer.json of the model beside it, or name it: tokens(path/to/tokenizer.json).',
      cause,
    })
  }
}

/** The input of token ids: the one that is called so, else the only one of whole numbers with two dimensions. */
function tokenInput(model: Model): Value {
  const inputs = inputsOf(model).filter(({ dtype, rank }) => (dtype === 'int64' || dtype === 'int32') && rank === 2)
  const called = inputs.filter(({ name }) => /input_ids$|^tokens$/.test(name))
  const [found, ...others] = called.length ? called : inputs
  if (found && !others.length) return found
  throw new OnnxError('PROCESSING_INPUT', 'the model has no input that looks like token ids', {
    hint: `Its inputs: ${inputsOf(model)
      .map(({ name, dtype }) => `${name} (${dtype ?? '?'})`)
      .join(', ')}.`,
  })
}

/** Which input is the table of embeddings, by operator that reads ids. */
const TABLES: Readonly<Record<string, number>> = { Gather: 0, GatherBlockQuantized: 0, EmbedLayerNormalization: 2 }

/** Rows of the table of embeddings that ids are looked up in; undefined where that is not seen. */
function tableSize(ids: Value): number | undefined {
  for (const { node, index } of ids.uses) {
    const table = TABLES[node.opType]
    const wanted = node.opType === 'EmbedLayerNormalization' ? 0 : 1
    if (table !== undefined && index === wanted) {
      const rows = node.input(table)?.shape?.[0]
      if (typeof rows === 'number' && node.int('axis', 0) === 0 && node.int('gather_axis', 0) === 0) return rows
    }
    if (node.is('Cast') || node.is('Identity')) {
      const behind = tableSize(node.output())
      if (behind !== undefined) return behind
    }
  }
  return undefined
}
