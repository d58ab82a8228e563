import type { Plugin } from 'rollup'
import { RollupAssets, type RollupHook } from '../emit/rollup.ts'
import { type Bundler, consoleLog } from './bundler.ts'

type OutputHooks = Required<Pick<Plugin, 'generateBundle' | 'writeBundle'>>

/** The hooks that put emitted files into the output; `written` is called after that. */
export function outputHooks(assets: RollupAssets, written?: () => Promise<void>): OutputHooks {
  return {
    generateBundle: {
      order: 'post',
      handler(_options, bundle, isWrite) {
        return assets.generateBundle(this as unknown as RollupHook, bundle, isWrite)
      },
    },
    async writeBundle(options, bundle) {
      await assets.writeBundle(this as unknown as RollupHook, options, bundle)
      await written?.()
    },
  }
}

/** Rollup, and with what its platform says also Rolldown. */
export function rollup(finish: () => Promise<void>, environment: Bundler['environment'] = () => undefined): Bundler {
  const assets = new RollupAssets()
  const emitter = assets.emitter(() => 'assets')
  const hooks = { ...outputHooks(assets, finish), closeBundle: finish }
  return {
    virtualIds: false,
    keepsModules: false,
    watches: () => true,
    throwsErrors: false,
    importer: (given) => given,
    emitsWasm: () => true,
    environment,
    emitter: () => emitter,
    modules: () => ({ ownWrapper: true, externWasm: true, externalNode: true }),
    log: consoleLog,
    hooks: { rollup: hooks, rolldown: hooks as object },
  }
}

/** Rolldown knows whether it builds for browsers or Node. */
export function rolldown(finish: () => Promise<void>): Bundler {
  let platform: string | undefined
  const bundler = rollup(finish, () => (platform ? { kind: platform === 'node' ? 'server' : 'client' } : undefined))
  return {
    ...bundler,
    hooks: {
      rolldown: {
        ...bundler.hooks.rolldown,
        options(options) {
          platform = options.platform
          return null
        },
      },
    },
  }
}
