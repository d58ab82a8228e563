import type { EmitFile } from '../emit/emitter.ts'
import { configureFarm, type FarmConfig, farmEmitter, placeBeside } from '../emit/farm.ts'
import type { Models } from '../models.ts'
import { type Bundler, consoleLog } from './bundler.ts'

/** Farm. */
export function farm(models: Models): Bundler {
  let config: FarmConfig = {}
  const beside = new Map<string, EmitFile>()
  const server = () => /^(?:node|library(?!-browser))/.test(config.compilation?.output?.targetEnv ?? 'browser')
  const emitter = farmEmitter(server, beside)
  return {
    virtualIds: false,
    throwsErrors: true,
    emitsWasm: () => true,
    environment: () => ({ kind: server() ? 'server' : 'client' }),
    emitter: () => emitter,
    modules: () => ({ ownWrapper: true, externWasm: true, externalNode: true }),
    log: consoleLog,
    written: () => placeBeside(config, beside),
    hooks: {
      farm: {
        config: (given) => configureFarm(given as FarmConfig) as typeof given,
        configResolved(resolved) {
          config = resolved as FarmConfig
          models.root = models.options.root ?? config.root ?? models.root
        },
      },
    },
  }
}
