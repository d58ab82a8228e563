import type { UnpluginOptions } from 'unplugin'
import type { Environment } from '../../options/index.ts'
import type { Emitter, Hook } from '../emit/emitter.ts'
import type { Log } from '../report.ts'
import type { RuntimeModules } from '../runtime-modules.ts'

/** What the shared hooks need to know of one bundler. */
export interface Bundler {
  /** Ids end with `.js`, so that the bundler finds no file behind them and reads none. */
  virtualIds: boolean
  /** Modules of one build may be used by the next without asking us: they are kept in a cache of the bundler. */
  keepsModules: boolean
  /** Whether it is of use to tell which files a module is made of. */
  watches(): boolean
  /** Whether this is a dev server, or a build that goes on: what is not imported yet may come. */
  goesOn?(): boolean
  /** Whether the bundler watches the model's own file without being told. */
  watchesModel?(file: string): boolean
  /** An error in a hook is thrown; otherwise it is handed to the hook's `error`. */
  throwsErrors: boolean
  /** The path of an importer as the hook is told of it. */
  importer(given: string): string
  /** ONNX Runtime's wasm files are emitted by us, because the bundler does not see them. */
  emitsWasm(hook: Hook): boolean
  /** What the output runs on, where one answer holds for the whole build. */
  environment(): Environment | undefined
  emitter(hook: Hook): Emitter
  modules(hook: Hook): RuntimeModules
  log: Log
  /** Told when a build made files that were not there before. */
  madeFiles?(): void
  /** Done after the output is written. */
  written?(): Promise<void>
  /** Hooks that only this bundler has. */
  hooks: Partial<UnpluginOptions>
}

/** Messages to the terminal, for bundlers that have no channel for plugins. */
export const consoleLog: Log = {
  info: (message) => console.log(message),
  warn: (message) => console.warn(`[unplugin-onnx] ${message}`),
}
