import { createHash } from 'node:crypto'
import { nameAssets, webpackEmitter } from '../emit/webpack.ts'
import type { Models } from '../models.ts'
import { type Bundler, consoleLog } from './bundler.ts'

type CacheSetting = boolean | { type?: string; version?: string } | undefined

/** What webpack's and Rspack's compilers have in common here. */
interface Compiler {
  context: string
  options: {
    mode?: string
    cache?: CacheSetting
    experiments?: { cache?: CacheSetting }
    externals?: unknown
    externalsPresets?: { node?: boolean }
    output: { assetModuleFilename?: unknown }
    module: { rules: unknown[] }
  }
  inputFileSystem?: { purge?(): void }
  hooks: { shutdown: { tapPromise(name: string, run: () => Promise<void>): void } }
  getInfrastructureLogger(name: string): { info(message: string): void; warn(message: string): void }
}

/** webpack and Rspack. */
export function webpack(models: Models, framework: 'webpack' | 'rspack'): Bundler {
  let compiler: Compiler | undefined
  const setup = (native: unknown): void => {
    compiler = native as Compiler
    const { options } = compiler
    models.root = models.options.root ?? compiler.context
    options.externals = [options.externals ?? [], { 'onnxruntime-node': 'node-commonjs onnxruntime-node' }].flat()
    nameAssets(compiler, (file) => models.isArtifact(file))
    // A module in a warm cache was made with the options of its time: others must not find it.
    const key = createHash('sha256').update(models.identity()).digest('hex').slice(0, 16)
    for (const cache of [options.cache, options.experiments?.cache])
      if (typeof cache === 'object' && cache.type !== 'memory')
        cache.version = [cache.version, `unplugin-onnx-${key}`].filter(Boolean).join('|')
    compiler.hooks.shutdown.tapPromise('unplugin-onnx', () => models.release())
  }
  return {
    virtualIds: true,
    keepsModules: true,
    throwsErrors: true,
    importer: (given) => given,
    emitsWasm: () => false,
    environment: () => ({
      kind: compiler?.options.externalsPresets?.node ? 'server' : 'client',
      mode: compiler?.options.mode,
    }),
    emitter: () => webpackEmitter,
    modules: () => ({ ownWrapper: true, externWasm: false, externalNode: false }),
    log: {
      info: (message) => (compiler?.getInfrastructureLogger('unplugin-onnx') ?? consoleLog).info(message),
      warn: (message) => (compiler?.getInfrastructureLogger('unplugin-onnx') ?? consoleLog).warn(message),
    },
    // It may remember from its look at a warm cache that these files do not exist.
    madeFiles: () => compiler?.inputFileSystem?.purge?.(),
    hooks: framework === 'webpack' ? { webpack: setup } : { rspack: setup },
  }
}
