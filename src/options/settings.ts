import { OnnxError } from '../onnx/errors.ts'
import { nearest } from '../params/nearest.ts'
import type { CacheOptions, PluginOptions, PluginSettings } from './types.ts'

/** Settings of the cache in the pipeline's units. */
export interface CacheSettings extends Omit<CacheOptions, 'maxAgeDays'> {
  /** Milliseconds. */
  maxAge: number | undefined
}

type Kind = 'false' | 'boolean' | 'text' | 'record' | 'names' | 'number' | 'object'

/** One setting of the plugin, for its check and for the docs. */
interface Setting {
  kinds: readonly Kind[]
  /** How its type reads in the docs. */
  type: string
  doc: string
}

const settings: Readonly<Record<keyof PluginSettings, Setting>> = {
  target: {
    kinds: ['text', 'names', 'record'],
    type: 'string, array, or object',
    doc: 'Target to build for, or several; an object chooses by mode or environment (`{ client: "gpu", server: "cpu" }`)',
  },
  targets: { kinds: ['record'], type: 'object', doc: 'Targets by name: a `device` and defaults of parameters' },
  models: { kinds: ['record'], type: 'object', doc: 'Parameters by glob of the model path' },
  presets: { kinds: ['record'], type: 'object', doc: 'Bundles of parameters, used with `preset=name`' },
  cache: {
    kinds: ['boolean', 'object'],
    type: '`false` or object',
    doc: 'Where builds are kept: `dir`, `maxAgeDays`, `maxBytes`, `storage`; `false` builds every time',
  },
  config: {
    kinds: ['text', 'false'],
    type: '`false` or path',
    doc: 'File with further options, which the dev server watches; `onnx.config.json`, `.js`, `.mjs`, `.ts` or `.mts` in the root where it is there',
  },
  dts: {
    kinds: ['boolean', 'text'],
    type: 'boolean or path',
    doc: 'Write the types of the imports; on where the project has a tsconfig.json, as `onnx-models.d.ts`',
  },
  root: { kinds: ['text'], type: 'path', doc: "Project folder; default the bundler's root" },
  report: { kinds: ['boolean'], type: 'boolean', doc: 'Print the table at the end of a build; on by default' },
}

/** Names of the settings with their documentation. */
export const SETTING_DOCS: Readonly<Record<string, Readonly<{ type: string; doc: string }>>> = settings

/** Keys of the plugin's options that are no parameters. */
export const SETTINGS: readonly string[] = Object.keys(settings)

const CACHE_KEYS: Readonly<Record<string, Kind>> = {
  dir: 'text',
  maxAgeDays: 'number',
  maxBytes: 'number',
  storage: 'object',
}

/**
 * Checks the kind of each setting, not the parameters inside of targets, models and presets.
 * @throws OnnxError `OPTION_VALUE` or `OPTION_UNKNOWN`
 */
export function checkSettings(plugin: PluginOptions): void {
  const values = plugin as Readonly<Record<string, unknown>>
  for (const [key, { kinds, type }] of Object.entries(settings)) {
    if (values[key] !== undefined && !kinds.some((kind) => isKind(values[key], kind)))
      throw new OnnxError('OPTION_VALUE', `\`${key}\` of the plugin options has a wrong value`, {
        hint: `Expected: ${type}.`,
      })
  }
  if (values['cache'] === true)
    throw new OnnxError('OPTION_VALUE', '`cache` is on by default; only `false` or an object has a meaning')
  for (const [key, value] of Object.entries(plugin.cache || {})) {
    const kind = CACHE_KEYS[key]
    const near = nearest(key, Object.keys(CACHE_KEYS))
    if (!kind)
      throw new OnnxError('OPTION_UNKNOWN', `unknown option \`${key}\` of \`cache\``, {
        hint: near ? `Did you mean \`${near}\`?` : `Known are ${Object.keys(CACHE_KEYS).join(', ')}.`,
      })
    if (value !== undefined && !isKind(value, kind))
      throw new OnnxError('OPTION_VALUE', `\`cache.${key}\` has a wrong value`, { hint: `Expected: ${kind}.` })
  }
}

/**
 * The `cache` setting as the pipeline takes it: days are milliseconds there.
 */
export function cacheSettings({ cache }: PluginOptions): false | CacheSettings {
  if (cache === false) return false
  const { dir, storage, maxBytes, maxAgeDays } = cache ?? {}
  return { dir, storage, maxBytes, maxAge: maxAgeDays === undefined ? undefined : maxAgeDays * 86_400_000 }
}

function isKind(value: unknown, kind: Kind): boolean {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  switch (kind) {
    case 'false':
      return value === false
    case 'boolean':
      return typeof value === 'boolean'
    case 'text':
      return typeof value === 'string'
    case 'number':
      return typeof value === 'number' && value >= 0
    case 'names':
      return Array.isArray(value) && value.every((item) => typeof item === 'string')
    case 'record':
      return (
        isObject &&
        Object.values(value).every((item) => typeof item === 'string' || (typeof item === 'object' && item !== null))
      )
    case 'object':
      return isObject || typeof value === 'function'
  }
}
