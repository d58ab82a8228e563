import { existsSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { cacheFolders } from '../../pipeline/index.ts'
import type { Beside } from '../emit/emitter.ts'
import { configureFarm, type FarmConfig, farmEmitter, placeBeside, replaceStandIns } from '../emit/farm.ts'
import { cut } from '../id.ts'
import type { Models } from '../models.ts'
import { type Bundler, consoleLog } from './bundler.ts'

/** Farm. */
export function farm(models: Models): Bundler {
  let config: FarmConfig = {}
  const beside: Beside = new Map()
  const server = () => /^(?:node|library(?!-browser))/.test(config.compilation?.output?.targetEnv ?? 'browser')
  // A dev server has its output in memory; without a cache files are gone when output is written.
  const standIns = () => {
    const { cache } = models.options
    if (config.compilation?.mode !== 'production' || cache === false) return undefined
    return join(cacheFolders(models.root, cache?.dir)[0]!, 'stand-ins')
  }
  const emitter = farmEmitter(server, beside, standIns)
  return {
    virtualIds: false,
    keepsModules: true,
    watches: () => true,
    goesOn: () => config.compilation?.mode !== 'production',
    throwsErrors: true,
    importer(given) {
      // Farm names importers relative to its root, and unplugin takes that as relative to the working directory.
      return existsSync(cut(given, '?')[0]) ? given : resolve(models.root, relative(process.cwd(), given))
    },
    emitsWasm: () => true,
    environment: () => ({ kind: server() ? 'server' : 'client' }),
    emitter: () => emitter,
    modules: () => ({ ownWrapper: true, externWasm: true, externalNode: true }),
    log: consoleLog,
    written: () => placeBeside(config, beside),
    hooks: {
      farm: {
        // Before Farm's own resolver, which finds every file that exists.
        priority: 103,
        config: (given) => configureFarm(given as FarmConfig) as typeof given,
        configResolved(resolved) {
          config = resolved as FarmConfig
          models.root = models.options.root ?? config.root ?? models.root
        },
        writeResources: {
          executor: ({ resourcesMap }) => {
            replaceStandIns(resourcesMap, config)
          },
        },
      },
    },
  }
}
