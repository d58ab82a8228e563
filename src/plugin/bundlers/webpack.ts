import { createHash } from 'node:crypto'
import { type AssetCompiler, WebpackAssets } from '../emit/webpack.ts'
import type { Models } from '../models.ts'
import { type Bundler, consoleLog } from './bundler.ts'

type CacheSetting = boolean | { type?: string; version?: string } | undefined

/** What webpack's and Rspack's compilers have in common here. */
interface Compiler {
  context: string
  watchMode?: boolean
  options: {
    mode?: string
    cache?: CacheSetting
    experiments?: { cache?: CacheSetting }
    externals?: unknown
    externalsPresets?: { node?: boolean }
  }
  inputFileSystem?: { purge?(): void }
  hooks: { shutdown: { tapPromise(name: string, run: () => Promise<void>): void } }
  getInfrastructureLogger(name: string): { info(message: string): void; warn(message: string): void }
}

/** webpack and Rspack. */
export function webpack(models: Models, framework: 'webpack' | 'rspack'): Bundler {
  let compiler: Compiler | undefined
  const assets = new WebpackAssets()
  const setup = (native: unknown): void => {
    compiler = native as Compiler
    const { options } = compiler
    models.root = models.options.root ?? compiler.context
    options.externals = [options.externals ?? [], { 'onnxruntime-node': 'node-commonjs onnxruntime-node' }].flat()
    assets.apply(native as AssetCompiler)
    // A module in a warm cache was made with the options of its time: others must not find it.
    const key = createHash('sha256').update(models.identity()).digest('hex').slice(0, 16)
    for (const cache of caches(compiler))
      cache.version = [cache.version, `unplugin-onnx-${key}`].filter(Boolean).join('|')
    compiler.hooks.shutdown.tapPromise('unplugin-onnx', () => models.release())
  }
  return {
    virtualIds: true,
    keepsModules: true,
    // webpack reads and hashes every file that it is told of: only where it will look at them again.
    watches: () => compiler?.watchMode === true || caches(compiler).length > 0,
    goesOn: () => compiler?.watchMode === true,
    throwsErrors: true,
    importer: (given) => given,
    emitsWasm: () => false,
    environment: () => ({
      kind: compiler?.options.externalsPresets?.node ? 'server' : 'client',
      mode: compiler?.options.mode,
    }),
    emitter: () => assets.emitter,
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

/** The settings of persistent caches. */
function caches(compiler: Compiler | undefined): { version?: string }[] {
  const { cache, experiments } = compiler?.options ?? {}
  return [cache, experiments?.cache].flatMap((one) => (typeof one === 'object' && one.type !== 'memory' ? one : []))
}
