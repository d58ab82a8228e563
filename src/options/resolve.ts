import { basename, isAbsolute, resolve as pathOf, relative } from 'node:path'
import picomatch from 'picomatch'
import { OnnxError } from '../onnx/errors.ts'
import { findKey, OPTIONS, QUERY, readParams, type Surface, splitQuery } from '../params/read.ts'
import { allPasses } from '../passes/index.ts'
import { frozenDims } from './frozen.ts'
import { type Device, shapeParams } from './general.ts'
import { expandLayer, type Layer, spread } from './layers.ts'
import { sessionOf } from './providers.ts'
import { checkSettings, SETTINGS } from './settings.ts'
import { fullTable, passTable, pluginTable, targetTable } from './table.ts'
import { defaultTargets, findTarget, namedTargets, targetOfDevice } from './targets.ts'
import type { As, Environment, PluginOptions, ResolvedOptions } from './types.ts'
import { unusedParams } from './unused.ts'

/** What is asked for one import of one model. */
export interface RequestInput {
  plugin?: PluginOptions
  /** The import's query with or without `?`, or parameters by key (command line, JS API). */
  query?: string | Readonly<Record<string, unknown>>
  /** How `query` spells its keys, for error messages; default by its type. */
  surface?: Surface
  /** Absolute path of the model, without query. */
  file: string
  /** Project folder: the globs of `models` are relative to it. */
  root: string
  /** What the importing bundle runs on, where known. */
  environment?: Environment | undefined
  /** The importing module, for error messages. */
  importSite?: string
}

/** How the JS value looks, and one set of options per target, first choice first. */
export interface ResolvedRequest {
  as: As
  targets: ResolvedOptions[]
}

/** Query keys that bundlers add on their own. */
const BUNDLER_KEYS = new Set(['import', 't', 'v'])

/**
 * Merges all layers of options: plugin defaults < target < matching `models` globs, in their order < query.
 * @throws OnnxError on an unknown key or target, or a value that does not fit, with the import site
 */
export function resolveRequest(request: RequestInput): ResolvedRequest {
  try {
    return resolve(request)
  } catch (error) {
    if (error instanceof OnnxError) error.at({ file: request.file, importSite: request.importSite })
    throw error
  }
}

/**
 * Checks the plugin's options as a whole, so that a mistake in a target nobody imports yet is told at start-up.
 * @throws OnnxError
 */
export function validatePluginOptions(plugin: PluginOptions): void {
  pluginDefaults(plugin)
  for (const [name, options] of Object.entries(plugin.presets ?? {}))
    readParams(targetTable, spread(Object.entries(options)), OPTIONS, { where: `presets['${name}']` })
  for (const name of Object.keys(plugin.targets ?? {})) {
    const layer = { ...pluginDefaults(plugin), ...targetLayer(name, plugin) }
    sessionOf(layer, (layer['device'] as Device | undefined) ?? 'cpu', name)
  }
  for (const [glob, options] of Object.entries(plugin.models ?? {})) modelLayer(glob, options, plugin)
  const { target } = plugin
  const choices = typeof target === 'object' && !Array.isArray(target) ? Object.values(target) : [target]
  for (const name of choices.flatMap((choice) => namedTargets(choice))) findTarget(name, plugin.targets)
}

function resolve(request: RequestInput): ResolvedRequest {
  const { plugin = {}, file, root, environment } = request
  const query = queryLayer(request)
  const models = Object.entries(plugin.models ?? {})
    .filter(([glob]) => matchesModel(glob, file, root))
    .map(([glob, options]) => modelLayer(glob, options, plugin))
  const above: Layer = Object.assign({}, ...models, query)
  const choice = [query, ...models.toReversed()].find((layer) => layer['targets'] ?? layer['target'])
  if (choice?.['targets'] && choice['target'])
    throw new OnnxError('OPTION_CONFLICT', '`target` and `targets` exclude each other', { hint: 'Give one of them.' })
  const names = choice
    ? ((choice['targets'] as readonly string[] | undefined) ?? [choice['target'] as string])
    : above['device']
      ? [targetOfDevice(above['device'] as string, plugin.targets)]
      : defaultTargets(plugin, environment, process.env['ONNX_TARGET'])
  const defaults = pluginDefaults(plugin)
  return {
    as: ((above['as'] ?? defaults['as']) as As | undefined) ?? shapeParams.as.default,
    targets: withUnused(
      names.flatMap((name) => resolveTarget(name, [defaults, targetLayer(name, plugin), above], root)),
      askedKeys(request),
    ),
  }
}

/** The same targets, with what the import sets and none of them reads. */
function withUnused(targets: ResolvedOptions[], asked: readonly string[]): ResolvedOptions[] {
  const unused = targets.reduce((left, { params }) => unusedParams(left, params), asked)
  return unused.length ? targets.map((target) => ({ ...target, unused })) : targets
}

function resolveTarget(name: string, layers: readonly Layer[], root: string): ResolvedOptions[] {
  const merged: Record<string, unknown> = {}
  for (const layer of layers) Object.assign(merged, layer)
  const params: Record<string, unknown> = {}
  for (const key of ['dtype', 'preset']) if (merged[key] !== undefined) params[key] = merged[key]
  for (const [key, spec] of Object.entries(passTable())) {
    const value = merged[key] ?? spec.default
    if (value !== undefined) params[key] = value
  }
  const device = (merged['device'] as Device | undefined) ?? 'cpu'
  const preset = merged['sessionPreset'] as string | undefined
  const session = sessionOf(merged, device, name)
  return frozenDims(params['dim'] as Readonly<Record<string, string>> | undefined).map(({ dim, frozen }) => {
    const own = frozen ? { ...params, dim } : params
    for (const pass of allPasses) if (pass.enabled(own)) pass.check?.(own, device)
    return {
      target: name,
      device,
      params: own,
      ...(frozen ? { frozen } : {}),
      ...(preset === undefined ? {} : { sessionPreset: pathOf(root, preset) }),
      ...(session ? { session } : {}),
    }
  })
}

function queryLayer({ query = '', surface, plugin = {} }: RequestInput): Layer {
  return expandLayer(entriesOf(query), {
    table: fullTable,
    presets: plugin.presets ?? {},
    surface: surface ?? (typeof query === 'string' ? QUERY : OPTIONS),
  })
}

function entriesOf(query: NonNullable<RequestInput['query']>): [string, unknown][] {
  return typeof query === 'string' ? shorthands(splitQuery(query)) : Object.entries(query)
}

/** The parameters that the import sets by name, by camelCase key. */
function askedKeys({ query = '' }: RequestInput): string[] {
  return [...spread(entriesOf(query))].flatMap(([key, value]) =>
    value === undefined ? [] : (findKey(fullTable, key) ?? []),
  )
}

/** `?url` is `?as=url`, as in other plugins; what bundlers add is dropped. */
function shorthands(query: Map<string, unknown>): [string, unknown][] {
  return [...query]
    .filter(([key, value]) => !(BUNDLER_KEYS.has(key) && (value === true || key !== 'import')))
    .map(([key, value]) =>
      value === true && (shapeParams.as.values as readonly string[]).includes(key) ? ['as', key] : [key, value],
    )
}

const defaultsOf = new WeakMap<PluginOptions, Layer>()

function pluginDefaults(plugin: PluginOptions): Layer {
  let layer = defaultsOf.get(plugin)
  if (!layer) {
    checkSettings(plugin)
    const entries = Object.entries(plugin).filter(([key]) => !SETTINGS.includes(key))
    layer = expandLayer(entries, {
      table: pluginTable,
      alsoKnown: SETTINGS,
      presets: plugin.presets ?? {},
      where: 'the plugin options',
    })
    defaultsOf.set(plugin, layer)
  }
  return layer
}

function targetLayer(name: string, plugin: PluginOptions): Layer {
  return expandLayer(Object.entries(findTarget(name, plugin.targets)), {
    table: targetTable,
    presets: plugin.presets ?? {},
    where: `targets['${name}']`,
  })
}

function modelLayer(glob: string, options: object, plugin: PluginOptions): Layer {
  return expandLayer(Object.entries(options), {
    table: fullTable,
    presets: plugin.presets ?? {},
    where: `models['${glob}']`,
  })
}

/** Whether a glob of `models` means this file: its path from the root, or its name alone if the glob has no `/`. */
export function matchesModel(glob: string, file: string, root: string): boolean {
  const posix = (path: string) => path.replaceAll('\\', '/')
  const fromRoot = posix(relative(root, file))
  const path = !glob.includes('/')
    ? basename(file)
    : isAbsolute(glob) || fromRoot.startsWith('../')
      ? posix(file)
      : fromRoot
  return picomatch.isMatch(path, glob.replace(/^\.\//, ''), { dot: true })
}
