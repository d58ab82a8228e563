import type { BuildOptions } from 'esbuild'
import { EsbuildAssets } from '../emit/esbuild.ts'
import type { Models } from '../models.ts'
import { EXTERN_WASM } from '../onnxruntime-web.ts'
import { type Bundler, consoleLog } from './bundler.ts'

/** esbuild resolves packages itself: it is told with conditions and externals what {@link Bundler.modules} says elsewhere. */
export function esbuild(models: Models): Bundler {
  let options: BuildOptions = {}
  const assets = new EsbuildAssets()
  const quiet = () => !['info', 'debug', 'verbose'].includes(options.logLevel ?? 'warning')
  return {
    virtualIds: false,
    keepsModules: false,
    watches: () => true,
    throwsErrors: false,
    importer: (given) => given,
    emitsWasm: () => true,
    environment: () => ({ kind: options.platform === 'node' ? 'server' : 'client' }),
    emitter: () => assets.emitter(options),
    modules: () => ({ ownWrapper: false, externWasm: false, externalNode: false }),
    log: {
      info: (message) => void (quiet() || consoleLog.info(message)),
      warn: (message) => void (options.logLevel === 'silent' || consoleLog.warn(message)),
    },
    hooks: {
      esbuild: {
        config(initial) {
          options = initial
          models.root = models.options.root ?? initial.absWorkingDir ?? models.root
          initial.conditions = [...(initial.conditions ?? ['module']), EXTERN_WASM]
          initial.external = [...(initial.external ?? []), 'onnxruntime-node']
        },
        setup(build) {
          assets.apply(build)
        },
      },
    },
  }
}
