import { rollupEmitter } from '../emit/rollup.ts'
import { type Bundler, consoleLog } from './bundler.ts'

/** Rollup, and with what its platform says also Rolldown. */
export function rollup(environment: Bundler['environment'] = () => undefined): Bundler {
  const emitter = rollupEmitter(() => 'assets')
  return {
    virtualIds: false,
    keepsModules: false,
    throwsErrors: false,
    importer: (given) => given,
    emitsWasm: () => true,
    environment,
    emitter: () => emitter,
    modules: () => ({ ownWrapper: true, externWasm: true, externalNode: true }),
    log: consoleLog,
    hooks: {},
  }
}

/** Rolldown knows whether it builds for browsers or Node. */
export function rolldown(): Bundler {
  let platform: string | undefined
  const bundler = rollup(() => (platform ? { kind: platform === 'node' ? 'server' : 'client' } : undefined))
  return {
    ...bundler,
    hooks: {
      rolldown: {
        options(options) {
          platform = options.platform
          return null
        },
      },
    },
  }
}
