import { inspect } from 'node:util'
import { OnnxError } from '../onnx/errors.ts'
import { nearest } from './nearest.ts'
import type { ParamSpec } from './spec.ts'
import { splitOutside, unwrap } from './split.ts'
import { parseSteps } from './steps.ts'

/** A value as some surface hands it over; `true` stands for a key without a value. */
export type RawValue = string | true | readonly string[]

/** How a surface writes texts inside of a value. */
export interface Spelling {
  /** Undoes the surface's escaping of a text or list item. */
  decode: (text: string) => string
  /** True if the items of an array are meant as they are, commas and colons included (JS); false if each is a list (query). */
  literalItems: boolean
}

/** What the allowed values of a parameter look like, in words: `dynamic, static or weights`, `a number from 0 to 1`. */
function describeValues(spec: ParamSpec): string {
  switch (spec.type) {
    case 'enum':
      return orList(spec.values ?? [])
    case 'boolean':
      return 'true or false'
    case 'number':
    case 'integer': {
      const noun = spec.type === 'integer' ? 'a whole number' : 'a number'
      if (spec.min !== undefined && spec.max !== undefined) return `${noun} from ${spec.min} to ${spec.max}`
      if (spec.min !== undefined) return `${noun} of at least ${spec.min}`
      if (spec.max !== undefined) return `${noun} of at most ${spec.max}`
      return noun
    }
    case 'list':
      return `a comma-separated list${spec.placeholder ? ` (${spec.placeholder},...)` : ''}`
    case 'map':
      return `comma-separated pairs (${spec.placeholder ?? 'name:value'},...)`
    case 'numbers':
      return 'a number or a comma-separated list of numbers'
    case 'steps':
      return `steps such as ${spec.placeholder ?? 'step(argument:value)'}: ${Object.keys(spec.steps ?? {}).join(', ')}`
    case 'string':
      return spec.placeholder ?? 'a text'
  }
}

/** `a, b or c`. */
export function orList(values: readonly string[]): string {
  return values.length < 2 ? values.join('') : `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`
}

/**
 * Reads one value from JS (`true`, `3`, `['a']`, `{ a: 'b' }`) or from text (`'true'`, `'3'`, `'a,b'`, `'a:b'`).
 * `key` is the parameter as the user spells it on this surface.
 * @returns the JS value of the parameter: see {@link ParamSpec.type}
 * @throws OnnxError `OPTION_VALUE` that names the key, the value and the valid values
 */
export function parseValue(spec: ParamSpec, key: string, raw: unknown, { decode, literalItems }: Spelling): unknown {
  switch (spec.type) {
    case 'boolean': {
      if (typeof raw === 'boolean') return raw
      const text = scalar(spec, key, raw)
      if (/^(true|1|yes|on)$/i.test(text)) return true
      if (/^(false|0|no|off)$/i.test(text)) return false
      throw invalid(spec, key, raw)
    }
    case 'number':
    case 'integer': {
      const value = typeof raw === 'number' ? raw : toNumber(decode(scalar(spec, key, raw)))
      const whole = spec.type === 'number' || Number.isInteger(value)
      if (!Number.isFinite(value) || !whole || value < (spec.min ?? -Infinity) || value > (spec.max ?? Infinity))
        throw invalid(spec, key, raw)
      return value
    }
    case 'enum': {
      const text = decode(scalar(spec, key, raw))
      const found = spec.values?.find((value) => value === text || value.toLowerCase() === text.toLowerCase())
      if (found === undefined) throw invalid(spec, key, raw, nearest(text, spec.values ?? []))
      return found
    }
    case 'string':
      return decode(scalar(spec, key, raw))
    case 'list':
      return listItems(spec, key, raw, { decode, literalItems })
    case 'numbers': {
      const texts = [raw]
        .flat(3)
        .flatMap((part) => (typeof part === 'string' ? splitOutside(unwrap(decode(part)), ',') : part))
      const numbers = texts.map((part) => (typeof part === 'string' ? toNumber(part) : part))
      if (!numbers.length || !numbers.every((value) => typeof value === 'number' && Number.isFinite(value)))
        throw invalid(spec, key, raw)
      return numbers
    }
    case 'map':
      return mapEntries(spec, key, raw, decode)
    case 'steps':
      return parseSteps(spec.steps ?? {}, key, raw, { decode, literalItems }, spec.elsewhere)
  }
}

function scalar(spec: ParamSpec, key: string, raw: unknown): string {
  if (typeof raw === 'string' && raw !== '') return raw
  if (typeof raw === 'number') return String(raw)
  if (Array.isArray(raw) && raw.length > 0 && raw.every((item) => item === raw[0])) return scalar(spec, key, raw[0])
  throw invalid(spec, key, raw)
}

/** `50%` is 0.5, so that `max_loss=1%` reads as it is said. */
function toNumber(text: string): number {
  const match = /^([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)(%?)$/i.exec(text.trim())
  return match ? Number(match[1]) / (match[2] ? 100 : 1) : Number.NaN
}

function listItems(spec: ParamSpec, key: string, raw: unknown, { decode, literalItems }: Spelling): string[] {
  const split = (text: string) => splitOutside(text, ',').map((item) => decode(item).trim())
  const items = [raw].flat().flatMap((part) => {
    if (typeof part !== 'string' && typeof part !== 'number') throw invalid(spec, key, raw)
    return literalItems && Array.isArray(raw) ? String(part) : split(String(part))
  })
  const kept = items.filter((item) => item !== '')
  if (kept.length === 0 && !(Array.isArray(raw) && raw.length === 0)) throw invalid(spec, key, raw)
  for (const item of spec.values ? kept : []) {
    if (!spec.values?.includes(item)) throw invalid(spec, key, item, nearest(item, spec.values ?? []))
  }
  return [...new Set(kept)]
}

function mapEntries(
  spec: ParamSpec,
  key: string,
  raw: unknown,
  decode: (text: string) => string,
): Record<string, string> {
  if (raw !== null && typeof raw === 'object' && !Array.isArray(raw)) {
    return Object.fromEntries(
      Object.entries(raw).map(([name, value]) => {
        // [1, 128] is the natural JS spelling of 1x128
        const text = Array.isArray(value) ? value.join('x') : value
        if (!['string', 'number', 'boolean'].includes(typeof text)) throw invalid(spec, key, raw)
        return [name, String(text)]
      }),
    )
  }
  const result = new Map<string, string>()
  for (const part of Array.isArray(raw) ? raw : [raw]) {
    if (typeof part !== 'string') throw invalid(spec, key, raw)
    for (const pair of splitOutside(part, ',').filter(Boolean)) {
      // Names of tensors may hold colons (`input:0`), values do not unless escaped: the last colon counts.
      const colon = pair.lastIndexOf(':')
      const name = decode(pair.slice(0, colon)).trim()
      const value = decode(pair.slice(colon + 1)).trim()
      if (colon < 1 || value === '') throw invalid(spec, key, pair)
      const earlier = result.get(name)
      if (earlier !== undefined && earlier !== value)
        throw new OnnxError('OPTION_VALUE', `\`${key}\` gives '${name}' twice: '${earlier}' and '${value}'`)
      result.set(name, value)
    }
  }
  if (result.size === 0) throw invalid(spec, key, raw)
  return Object.fromEntries(result)
}

function invalid(spec: ParamSpec, key: string, raw: unknown, near?: string): OnnxError {
  const repeated = Array.isArray(raw) && !['list', 'map', 'numbers'].includes(spec.type)
  const what =
    raw === true || raw === ''
      ? `\`${key}\` needs a value`
      : repeated
        ? `\`${key}\` takes one value, not ${raw.map((item) => `'${item}'`).join(' and ')}`
        : `'${show(raw)}' is not a value of \`${key}\``
  return new OnnxError('OPTION_VALUE', what, {
    hint: `${near ? `Did you mean '${near}'? ` : ''}Expected ${describeValues(spec)}.`,
  })
}

function show(raw: unknown): string {
  const text = typeof raw === 'string' ? raw : inspect(raw, { breakLength: Number.POSITIVE_INFINITY, depth: 1 })
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}
