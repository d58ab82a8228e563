import type { ParamInput, ParamTable } from '../params/spec.ts'
import type { passes } from '../passes/index.ts'
import type { choiceParams, generalParams, shapeParams } from './general.ts'

/** Options of one build after all layers are merged: every parameter by its camelCase key. */
export interface ResolvedOptions {
  /** Name of the chosen target, if any. */
  target?: string
  /** `cpu`, `wasm`, `webgpu`, ... */
  device: string
  /** Absolute path of a file with session options, where one is named. */
  sessionPreset?: string
  /** Sizes that dynamic dimensions are frozen at, where there is a variant for each of several. */
  frozen?: Readonly<Record<string, number>>
  /** Session options of ONNX Runtime that the target sets, as plain JSON. */
  session?: Readonly<Record<string, unknown>>
  /** Parameters that the import sets and no pass that runs reads, by camelCase key; left out where there are none. */
  unused?: readonly string[]
  /** Values of all parameters of passes, defaults included; besides, `dtype` and `preset` where they are set. */
  params: Readonly<Record<string, unknown>>
}

type Intersection<U> = (U extends unknown ? (x: U) => void : never) extends (x: infer I) => void ? I : never
type Flat<T> = { [K in keyof T]: T[K] }
type InputsOf<Passes extends readonly { params: ParamTable }[]> = {
  [I in keyof Passes]: ParamInput<Passes[I]['params']>
}[number]

/** Parameters of all registered passes, by camelCase key. */
export type PassOptions = Flat<Omit<Registered, 'verify'> & { verify?: boolean | VerifySettings | undefined }>

type Registered = Intersection<InputsOf<typeof passes>>

/** `verify` in one piece: `{ cosine: 0.99 }` is `verifyCosine: 0.99`. */
export interface VerifySettings {
  inputs?: readonly string[] | string | undefined
  cosine?: number | undefined
  rtol?: number | undefined
  atol?: number | undefined
  samples?: number | undefined
}

/** What a target sets: its device, and any parameter of a pass as this target's default. */
export type TargetOptions = Flat<ParamInput<typeof generalParams> & PassOptions>

/** What a preset sets. */
export type PresetOptions = TargetOptions

/** Options of models that match a glob: as in a target, and the target itself. */
export type ModelOptions = Flat<ParamInput<typeof choiceParams> & ParamInput<typeof shapeParams> & TargetOptions>

/** Where builds are kept between runs. */
export interface CacheOptions {
  /** Folder; default `node_modules/.cache/unplugin-onnx` of the root. */
  dir?: string | undefined
  /** Entries not used for this many days are pruned; default 30. */
  maxAgeDays?: number | undefined
  /** Least recently used entries beyond this size are pruned; default 20 GiB. */
  maxBytes?: number | undefined
  /** A shared second level for a team: any `unstorage` storage (redis, s3, fs ...). */
  storage?: RemoteStorage | undefined
}

/**
 * A shared cache: any storage or driver of `unstorage`, described by what is used of it. The library's own types name the packages of
 * all its drivers, which a project's type check would then ask for.
 */
export type RemoteStorage = StorageLike | DriverLike

/** What `createStorage` gives. */
interface StorageLike {
  mount(base: string, driver: never): unknown
  getItemRaw(key: string): Promise<unknown>
  setItemRaw(key: string, value: unknown): Promise<void>
}

/** What a module of `unstorage/drivers` gives. */
interface DriverLike {
  hasItem(key: string, options: object): boolean | Promise<boolean>
  getItem(key: string, options?: object): unknown
  getKeys(base: string, options: object): string[] | Promise<string[]>
}

/** What the importing bundle runs on, and the bundler's mode. */
export interface Environment {
  kind: EnvironmentKind
  mode?: string | undefined
}

/** Environments by what they run on. */
export type EnvironmentKind = 'client' | 'server'

/** Options of the plugin itself. Everything else at the top level is a default of a parameter. */
export interface PluginSettings {
  /**
   * Name of the target to build for (or names, for several). An object chooses by the bundler's mode (`production` ...) or
   * by environment (`client`, `server`); the mode comes first. Without it: the environment variable `ONNX_TARGET`, else what
   * the bundler builds for.
   */
  target?: string | readonly string[] | Readonly<Record<string, string | readonly string[]>> | undefined
  /** Targets by name. `node`, `web`, `webgpu` and one per device are built in; the same name here replaces one. */
  targets?: Readonly<Record<string, TargetOptions>> | undefined
  /** Options by glob of the model's path, relative to the root; a glob without `/` is matched with the file name. */
  models?: Readonly<Record<string, ModelOptions>> | undefined
  /** Bundles of parameters, used by name with `preset`. */
  presets?: Readonly<Record<string, PresetOptions>> | undefined
  /** Cache settings; `false` builds every time. */
  cache?: CacheOptions | false | undefined
  /** File with further options, relative to the root; `false`: none. Default: `onnx.config.json`, `.js`, `.mjs`, `.ts` or `.mts` in the root. */
  config?: string | false | undefined
  /** Write types of the imports: on where the project has a tsconfig; a text is the file's path. Default `onnx-models.d.ts`. */
  dts?: boolean | string | undefined
  /** Project folder; default the bundler's root. */
  root?: string | undefined
  /** Print the table at the end of a build; default true. */
  report?: boolean | undefined
}

/** What a user passes to the plugin: settings, and defaults of parameters. */
export type PluginOptions = PluginSettings & Flat<ParamInput<typeof shapeParams> & TargetOptions>

/** Shape of the JS value of an import. */
export type As = (typeof shapeParams)['as']['values'][number]
