export { type Cpu, cpuIdentity, presetOf, thisCpu } from './cpu.ts'
export { DTYPES_BY_NAME } from './dtypes.ts'
export { mergeOptions, OPTIONS_FILES, optionsFile, optionsFileHash, readOptionsFile } from './file.ts'
export { DEVICES, type Device } from './general.ts'
export { type CacheIdentity, cacheOptions, enabledPasses } from './identity.ts'
export {
  matchesModel,
  type RequestInput,
  type ResolvedRequest,
  resolveRequest,
  validatePluginOptions,
} from './resolve.ts'
export { type CacheSettings, cacheSettings, SETTING_DOCS, SETTINGS } from './settings.ts'
export { fullTable, passTable, pluginTable, targetTable } from './table.ts'
export type {
  As,
  CacheOptions,
  Environment,
  EnvironmentKind,
  ModelOptions,
  PassOptions,
  PluginOptions,
  PluginSettings,
  PresetOptions,
  RemoteStorage,
  ResolvedOptions,
  TargetOptions,
} from './types.ts'
export { ownersOf } from './unused.ts'
