import { existsSync } from 'node:fs'
import { relative } from 'node:path'
import type { UnpluginContextMeta, UnpluginOptions } from 'unplugin'
import { OnnxError } from '../onnx/errors.ts'
import type { PluginOptions } from '../options/index.ts'
import { filesOf } from '../pipeline/index.ts'
import { sessionPresetFile } from '../pipeline/session-preset.ts'
import { bundlerOf } from './bundlers/index.ts'
import type { Hook } from './emit/emitter.ts'
import { environmentOf, type Framework, isRollupFamily } from './environment.ts'
import { joinModelId, joinRepeated, MODEL_ID, RESOLVE_MARK, splitModelId } from './id.ts'
import { asOnnxError, Models } from './models.ts'
import { moduleOf } from './module.ts'
import { report } from './report.ts'
import { resolverOf } from './resolve.ts'
import { missingLibrary, runtimeModule } from './runtime-modules.ts'
import { MENTIONS_MODEL, mergeAttributes, rewriteSource } from './source/index.ts'
import { strayGlobs } from './stray-globs.ts'
import { writeTypes } from './types-file.ts'

/** Specifiers of models, and of what generated modules import. */
const RESOLVED_HERE = /\.onnx(?:\?[^#]*)?$|^(?:unplugin-onnx\/runtime\/|onnxruntime-|node:|@huggingface\/tokenizers$)/

/** JavaScript and TypeScript of the project itself: where models are named. */
const SCRIPT = /\.(?:[cm]?[jt]sx?|vue|svelte|astro)(?:\?.*)?$/

/** The plugin for one bundler, out of hooks that all share and a part of its own. */
export function createPlugin(options: PluginOptions | undefined, meta: UnpluginContextMeta): UnpluginOptions {
  const framework = meta.framework as Framework
  const models = new Models(options ?? {}, process.cwd())
  const bundler = bundlerOf(framework, models, finish)
  const resolve = resolverOf(framework, () => models.root)
  /** Who imports a model, by its id: told in errors. */
  const importers = new Map<string, string>()
  /** Globs that were told of: some bundlers finish several times, and some do not say that they will build again. */
  const told = new Set<string>()

  const fail = (hook: Hook, error: unknown, importSite?: string): void => {
    const known = asOnnxError(error, importSite)
    if (bundler.throwsErrors) throw known
    hook.error(known)
  }

  return {
    name: 'unplugin-onnx',
    ...(framework === 'webpack' || framework === 'rspack' ? { enforce: 'pre' as const } : {}),

    buildStart() {
      models.retain()
    },

    resolveId: {
      order: 'pre',
      filter: { id: RESOLVED_HERE },
      async handler(this: Hook, specifier: string, given: string | undefined, extra: object) {
        const importer = given && bundler.importer(given)
        const own = runtimeModule(specifier, importer, bundler.modules(this), models.root)
        if (own) return own
        const missing = isRollupFamily(framework) ? missingLibrary(specifier, importer) : undefined
        if (missing) {
          // What the project has said about it (an alias, an external) counts, so the bundler is asked first.
          if (!(await resolve(this, specifier, importer))) fail(this, missing)
          return undefined
        }
        const asked = splitModelId(specifier)
        if (!asked || asked.query === RESOLVE_MARK || models.isArtifact(asked.file)) return undefined
        const importSite = importer && relative(models.root, importer.replace(/\?.*$/, ''))
        try {
          const { attributes = {} } = extra as { attributes?: Record<string, string> }
          const merged = mergeAttributes(asked, attributes, importSite ?? '')
          const file = await resolve(this, merged.file, importer)
          if (!file || !splitModelId(file)) return undefined
          // Farm has one value for each key, which it decodes.
          const query = framework === 'farm' ? joinRepeated(merged.query).replaceAll('%', '%25') : merged.query
          const id = joinModelId({ file, query }, bundler.virtualIds)
          if (importSite) importers.set(id, importSite)
          return id
        } catch (error) {
          fail(this, error, importSite)
          return undefined
        }
      },
    } as NonNullable<UnpluginOptions['resolveId']>,

    load: {
      order: 'pre',
      filter: { id: bundler.virtualIds ? /\.onnx\.js(?:\?[^#]*)?$/ : MODEL_ID },
      async handler(this: Hook, id: string) {
        const model = splitModelId(id)
        if (!model || models.isArtifact(model.file)) return undefined
        const importSite = importers.get(id)
        const environment = environmentOf(this, bundler.environment())
        const watched = bundler.watches()
        const watch = (file: string) => {
          if (watched && !(file === model.file && bundler.watchesModel?.(file))) this.addWatchFile(file)
        }
        try {
          watch(model.file)
          // Told before it is built: whatever keeps it from that may be mended.
          if (watched) (await models.needs(model, environment)).forEach(watch)
          if (models.optionsFile) watch(models.optionsFile)
          const built = await models.build(model, environment, importSite)
          for (const { options, artifact } of built.variants) {
            const preset = options.sessionPreset ?? sessionPresetFile(model.file)
            if (existsSync(preset)) watch(preset)
            artifact.sources.forEach(watch)
            // A bundler that keeps modules has to come back here when what they point at is gone.
            if (bundler.keepsModules) for (const { file } of filesOf(artifact)) watch(file)
          }
          if (built.variants.some(({ artifact }) => artifact.report.cache !== 'hit')) bundler.madeFiles?.()
          const code = await moduleOf(this, built, {
            emitter: bundler.emitter(this),
            emitsWasm: bundler.emitsWasm(this),
            root: models.root,
          })
          return { code, moduleType: 'js' }
        } catch (error) {
          fail(this, error, importSite)
          return { code: 'export default undefined', moduleType: 'js' }
        }
      },
    } as NonNullable<UnpluginOptions['load']>,

    transform: {
      filter: {
        id: { include: SCRIPT, exclude: [/[\\/]node_modules[\\/]/, /\.onnx\.js(?:\?|$)/] },
        code: MENTIONS_MODEL,
      },
      handler(this: Hook, code: string, id: string) {
        // A single-file component before its compiler: its script comes again as plain JavaScript.
        if (/^\s*(?:<|---)/.test(code)) return undefined
        try {
          return rewriteSource(code, id, { isVite: framework === 'vite' })
        } catch (error) {
          if (!(error instanceof OnnxError)) throw error
          fail(this, error)
          return undefined
        }
      },
    } as NonNullable<UnpluginOptions['transform']>,

    // Replaced by the Rollup family's own, which copies the models first.
    async writeBundle() {
      await bundler.written?.()
      await finish()
    },

    ...bundler.hooks,
  }

  async function tellOfGlobs(): Promise<void> {
    const globs = Object.keys(models.options.models ?? {}).filter((glob) => !told.has(glob))
    if (globs.length === 0 || models.asked.size === 0 || bundler.goesOn?.()) return
    for (const glob of await strayGlobs(globs, models.asked, models.root)) {
      if (told.has(glob)) continue
      told.add(glob)
      bundler.log.warn(
        `\`models['${glob}']\` fits no model: a glob without a slash is for names, others for paths from ${models.root}`,
      )
    }
  }

  /** What is told and written once a build is done. */
  async function finish(): Promise<void> {
    // Where the sources may not be written (a container, a sandbox) the build itself can be fine.
    const warnings = await writeTypes(models).catch((error: unknown) => {
      if (error instanceof OnnxError) return [`no types are written: ${error.what}`]
      throw error
    })
    const fresh = models.takeFresh()
    if (models.options.report !== false) report(fresh, models.root, bundler.log)
    for (const warning of warnings) bundler.log.warn(warning)
    await tellOfGlobs()
    await models.release()
  }
}
