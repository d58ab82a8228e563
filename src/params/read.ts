import { OnnxError } from '../onnx/errors.ts'
import { foldCase, kebabCase, snakeCase } from './case.ts'
import { nearest } from './nearest.ts'
import type { ParamTable } from './spec.ts'
import { percentDecode } from './split.ts'
import { parseValue, type RawValue, type Spelling } from './value.ts'

/** How a surface spells keys and values. */
export interface Surface extends Spelling {
  /** Name for error messages: `query`, `option`, `flag`. */
  noun: string
  /** camelCase key of a table -> how the user writes it here. */
  spell: (key: string) => string
}

export const QUERY: Surface = { noun: 'query parameter', spell: snakeCase, decode: percentDecode, literalItems: false }
export const FLAGS: Surface = {
  noun: 'flag',
  spell: (key) => `--${kebabCase(key)}`,
  decode: String,
  literalItems: false,
}
export const OPTIONS: Surface = { noun: 'option', spell: String, decode: String, literalItems: true }

const foldedKeys = new WeakMap<ParamTable, ReadonlyMap<string, string>>()

/** The key of `table` that `key` spells in any case style, or undefined. */
export function findKey(table: ParamTable, key: string): string | undefined {
  let folded = foldedKeys.get(table)
  if (!folded) {
    folded = new Map(Object.keys(table).map((known) => [foldCase(known), known]))
    foldedKeys.set(table, folded)
  }
  return folded.get(foldCase(key))
}

/**
 * Reads and checks `input` against `table`: keys in any case style, values as JS or as text.
 * @param context.where names the layer for error messages, e.g. `models['*.onnx']`
 * @param context.alsoKnown other legal keys, which `input` does not hold: suggested for a misspelt one
 * @returns values by camelCase key, only those that are set (an `undefined` in a JS object is "not set")
 * @throws OnnxError `OPTION_UNKNOWN` or `OPTION_VALUE`
 */
export function readParams(
  table: ParamTable,
  input: Iterable<readonly [string, unknown]>,
  surface: Surface,
  { where, alsoKnown = [] }: { where?: string | undefined; alsoKnown?: readonly string[] | undefined } = {},
): Record<string, unknown> {
  const result: Record<string, unknown> = {}
  const spelled = new Map<string, string>()
  for (const [written, raw] of input) {
    if (raw === undefined) continue
    const key = findKey(table, written)
    if (key === undefined) throw withWhere(unknownKey(written, [...Object.keys(table), ...alsoKnown], surface), where)
    const earlier = spelled.get(key)
    if (earlier !== undefined)
      throw withWhere(
        new OnnxError('OPTION_VALUE', `\`${earlier}\` and \`${written}\` are the same ${surface.noun}`),
        where,
      )
    spelled.set(key, written)
    try {
      result[key] = parseValue(table[key]!, surface.spell(key), raw, surface)
    } catch (error) {
      throw error instanceof OnnxError ? withWhere(error, where) : error
    }
  }
  return result
}

/** Splits a query into keys and raw values: no percent-decoding yet, a key that comes twice has a list of values. */
export function splitQuery(query: string): Map<string, RawValue> {
  const result = new Map<string, RawValue>()
  for (const part of query.replace(/^\?/, '').split('&')) {
    if (part === '') continue
    const equals = part.indexOf('=')
    const key = percentDecode(equals < 0 ? part : part.slice(0, equals))
    const value: string | true = equals < 0 ? true : part.slice(equals + 1)
    const earlier = result.get(key)
    if (earlier === undefined) result.set(key, value)
    else if (earlier !== true || value !== true)
      result.set(
        key,
        [earlier, value].flat().map((item) => (item === true ? 'true' : item)),
      )
  }
  return result
}

/** A longer list than this hides the message. */
const MOST_LISTED = 40

function unknownKey(written: string, known: readonly string[], surface: Surface): OnnxError {
  const near = nearest(written, known)
  const all =
    known.length > MOST_LISTED
      ? '`npx unplugin-onnx build --help` and the README list all of them.'
      : `Known here: ${known.map(surface.spell).join(', ')}.`
  return new OnnxError('OPTION_UNKNOWN', `unknown ${surface.noun} \`${written}\``, {
    hint: near ? `Did you mean \`${surface.spell(near)}\`?` : all,
  })
}

/** The same error with the layer it came from in its text. */
function withWhere(error: OnnxError, where: string | undefined): OnnxError {
  if (where === undefined) return error
  return new OnnxError(error.code, `${error.what} (in ${where})`, {
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    place: error.place,
  })
}
