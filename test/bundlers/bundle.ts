import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { PluginOptions } from '../../src/plugin/index.ts'

export type BundlerName = 'vite' | 'rollup' | 'rolldown' | 'webpack' | 'rspack' | 'esbuild' | 'farm'

export const BUNDLERS: readonly BundlerName[] = ['vite', 'rollup', 'rolldown', 'webpack', 'rspack', 'esbuild', 'farm']

/** One build. */
export interface Job {
  /** Folder of the app. */
  root: string
  /** Entry module, relative to `root`. */
  entry: string
  outDir: string
  platform: 'node' | 'web'
  format?: 'esm' | 'cjs'
  options?: PluginOptions
  /** Folder of a persistent cache, for bundlers that have one. */
  cache?: string
}

/** Builds an app with one bundler and our plugin from dist/, and leaves `main.js` or `main.cjs` in the output folder. */
export type Bundle = (job: Job) => Promise<void>

const require = createRequire(import.meta.url)

/** The plugin as a user gets it. */
async function plugin<T>(name: BundlerName, options: PluginOptions = {}): Promise<T> {
  const module = (await import(/* @vite-ignore */ require.resolve(`unplugin-onnx/${name}`))) as {
    default: (options: PluginOptions) => T
  }
  return module.default({ report: false, dts: false, ...options })
}

const fileName = ({ format }: Job) => (format === 'cjs' ? '[name].cjs' : '[name].js')

async function webpackLike(name: 'webpack' | 'rspack', job: Job): Promise<void> {
  const factory = (await import(name === 'webpack' ? 'webpack' : '@rspack/core')) as {
    default?: unknown
    rspack?: unknown
  }
  const create = (factory.rspack ?? factory.default) as (config: object) => {
    run(done: (error: Error | null, stats?: Stats) => void): void
    close(done: () => void): void
  }
  const esm = job.format !== 'cjs'
  const compiler = create({
    context: job.root,
    mode: 'production',
    devtool: 'source-map',
    target: job.platform === 'node' ? 'node20' : 'web',
    entry: { main: `./${job.entry}` },
    experiments: { outputModule: esm },
    cache: !job.cache
      ? false
      : name === 'webpack'
        ? { type: 'filesystem', cacheDirectory: job.cache }
        : { type: 'persistent', storage: { type: 'filesystem', directory: job.cache } },
    output: {
      path: job.outDir,
      filename: fileName(job),
      chunkFilename: esm ? '[name]-[contenthash].js' : '[name]-[contenthash].cjs',
      module: esm,
      library: { type: esm ? 'module' : 'commonjs2' },
      ...(job.platform === 'web' ? { publicPath: 'auto' } : {}),
    },
    plugins: [await plugin<object>(name, job.options)],
  })
  const stats = await new Promise<Stats>((done, failed) =>
    compiler.run((error, result) => (error ? failed(error) : done(result!))),
  )
  await new Promise<void>((done) => compiler.close(done))
  if (stats.hasErrors()) throw new Error(stats.toString({ all: false, errors: true }))
}

interface Stats {
  hasErrors(): boolean
  toString(options: object): string
}

export const bundle: Record<BundlerName, Bundle> = {
  async vite(job) {
    const { build } = await import('vite')
    await build({
      root: job.root,
      configFile: false,
      logLevel: 'silent',
      plugins: [await plugin<import('vite').Plugin>('vite', job.options)],
      build: {
        outDir: job.outDir,
        emptyOutDir: true,
        sourcemap: true,
        ssr: job.platform === 'node',
        rolldownOptions: {
          input: { main: join(job.root, job.entry) },
          preserveEntrySignatures: 'strict',
          output: { entryFileNames: fileName(job), format: job.format ?? 'esm' },
        },
      },
    })
  },
  async rollup(job) {
    const { rollup } = await import('rollup')
    const build = await rollup({
      input: { main: join(job.root, job.entry) },
      plugins: [await plugin<import('rollup').Plugin>('rollup', { ...targetOf(job), ...job.options })],
    })
    await build.write({ dir: job.outDir, format: job.format ?? 'esm', entryFileNames: fileName(job), sourcemap: true })
    await build.close()
  },
  async rolldown(job) {
    const { rolldown } = await import('rolldown')
    const build = await rolldown({
      input: { main: join(job.root, job.entry) },
      platform: job.platform === 'node' ? 'node' : 'browser',
      plugins: [await plugin<import('rolldown').Plugin>('rolldown', job.options)],
    })
    await build.write({ dir: job.outDir, format: job.format ?? 'esm', entryFileNames: fileName(job), sourcemap: true })
    await build.close()
  },
  webpack: (job) => webpackLike('webpack', job),
  rspack: (job) => webpackLike('rspack', job),
  async esbuild(job) {
    const { build } = await import('esbuild')
    await build({
      absWorkingDir: job.root,
      entryPoints: { main: job.entry },
      bundle: true,
      outdir: job.outDir,
      platform: job.platform === 'node' ? 'node' : 'browser',
      format: job.format ?? 'esm',
      splitting: job.format !== 'cjs',
      outExtension: { '.js': job.format === 'cjs' ? '.cjs' : '.js' },
      sourcemap: true,
      logLevel: 'silent',
      plugins: [await plugin<import('esbuild').Plugin>('esbuild', job.options)],
    })
  },
  async farm(job) {
    const { build } = await import('@farmfe/core')
    await build({
      root: job.root,
      configFile: false,
      clearScreen: false,
      compilation: {
        // Only pages tell Farm's runtime in a browser where its chunks are.
        input: job.platform === 'web' ? { index: './index.html' } : { main: `./${job.entry}` },
        output: {
          path: job.outDir,
          targetEnv: job.platform === 'node' ? 'node' : 'browser',
          format: job.format ?? 'esm',
          ...(job.platform === 'node' ? { entryFilename: fileName(job).replace('[name]', '[entryName]') } : {}),
          filename: job.format === 'cjs' ? '[resourceName].[contentHash].cjs' : '[resourceName].[contentHash].js',
        },
        presetEnv: false,
        persistentCache: false,
        minify: false,
        sourcemap: true,
      },
      plugins: [await plugin<import('@farmfe/core').JsPlugin>('farm', job.options)],
    } as never)
  },
}

/** Rollup alone does not know what its output runs on. */
function targetOf({ platform }: Job): PluginOptions {
  return { target: platform === 'node' ? 'node' : 'web' }
}
