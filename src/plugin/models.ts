import { existsSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve, sep } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { OnnxError } from '../onnx/errors.ts'
import {
  type As,
  cacheSettings,
  type Environment,
  OPTIONS_FILES,
  optionsFile,
  optionsFileHash,
  type PluginOptions,
  type ResolvedRequest,
  resolveRequest,
  validatePluginOptions,
} from '../options/index.ts'
import {
  type Artifact,
  type BuildProgress,
  cacheFolders,
  createPipeline,
  dependenciesOf,
  filesOf,
  type Pipeline,
  type ResolvedOptions,
} from '../pipeline/index.ts'
import type { ModelId } from './id.ts'
import { OptionsFile } from './options-file.ts'
import { reachable } from './reachable.ts'

/** One import, built for each of its targets. */
export interface BuiltImport {
  id: ModelId
  as: As
  variants: { options: ResolvedOptions; artifact: Artifact }[]
}

/** What one instance of the plugin knows of its project: options, the pipeline, and the imports that it has built. */
export class Models {
  /** Those of the bundler's configuration, and of the file of options once it has been read. */
  options: PluginOptions
  /** Folder of the project. */
  root: string
  /** Every import built so far, for types; by file, query and the environment it is for. */
  readonly built: Map<string, BuiltImport> = new Map()
  /** Files of all imports, also of those that could not be built. */
  readonly asked: Set<string> = new Set()
  /** What the report at the end of this build has to show. */
  #fresh: BuiltImport[] = []
  readonly #artifacts = new Set<string>()
  readonly #own: PluginOptions
  readonly #file = new OptionsFile()
  /** What imports needed when they were built last, or should have been. */
  readonly #needs = new Map<string, readonly string[] | undefined>()
  /** What imports came to when they were built last; none for those that failed. */
  readonly #requests = new Map<string, ResolvedRequest>()
  /** Told how far builds are. */
  onProgress: ((progress: BuildProgress) => void) | undefined
  #pipeline: Pipeline | undefined
  #users = 0

  constructor(options: PluginOptions, root: string) {
    validatePluginOptions(options)
    this.#own = options
    this.options = options
    this.root = options.root ?? root
  }

  /**
   * Builds one import, or takes it from the cache.
   *
   * @throws OnnxError with the import site
   */
  async build(id: ModelId, environment: Environment | undefined, importSite: string | undefined): Promise<BuiltImport> {
    const place = importSite === undefined ? {} : { importSite }
    const key = keyOf(id, environment)
    this.#requests.delete(key)
    this.asked.add(id.file)
    await this.refresh()
    const request = this.#resolve(id, environment, place)
    const { as } = request
    const targets = reachable(request.targets, as, environment)
    const pipeline = this.#open()
    const variants = await Promise.all(
      targets.map(async (options) => ({
        options,
        artifact: await pipeline.build({ file: id.file, options, ...place }),
      })),
    )
    for (const { artifact } of variants) for (const { file } of filesOf(artifact)) this.#know(file)
    const built = { id, as, variants }
    this.built.set(key, built)
    this.#requests.set(key, request)
    this.#fresh.push(built)
    return built
  }

  /** Files that an import needs besides its model, as far as its options tell; none where one of them is missing. */
  async needs(id: ModelId, environment: Environment | undefined): Promise<readonly string[]> {
    const needs = await this.#needsOf(id, environment).catch(() => undefined)
    this.#needs.set(keyOf(id, environment), needs)
    return needs ?? []
  }

  async #needsOf(id: ModelId, environment: Environment | undefined): Promise<string[]> {
    await this.refresh()
    const { targets } = this.#resolve(id, environment, {})
    const files = targets.map(async ({ params, sessionPreset }) => [
      ...(sessionPreset ? [sessionPreset] : []),
      ...(await dependenciesOf(params, id.file)),
    ])
    return [...new Set((await Promise.all(files)).flat())]
  }

  /** True if an import could not be built. */
  hasFailed(id: ModelId, environment: Environment | undefined): boolean {
    return !this.#requests.has(keyOf(id, environment))
  }

  /** True if an import has to be built again since a file appeared, went, or (where the build failed) was mended. */
  async dependsOn(id: ModelId, environment: Environment | undefined, file: string): Promise<boolean> {
    const key = keyOf(id, environment)
    if (!this.#needs.has(key)) return false
    const before = this.#needs.get(key)
    if (this.hasFailed(id, environment) && before?.includes(file)) return true
    // Of a folder all files count.
    const now = await this.needs(id, environment)
    return !isDeepStrictEqual(before ?? [], now)
  }

  /** The file of options: an absolute path; undefined where there is none. */
  get optionsFile(): string | undefined {
    return optionsFile(this.root, this.#own.config)
  }

  /** True for a file that is, was, or could be the file of options. */
  isOptionsFile(file: string): boolean {
    const path = resolve(file)
    if (this.#own.config !== undefined) return path === this.optionsFile
    return OPTIONS_FILES.some((name) => path === resolve(this.root, name))
  }

  /**
   * Reads the file of options, if it has changed.
   * @throws OnnxError with the file
   */
  async refresh(): Promise<void> {
    this.options = await this.#file.over(this.#own, this.optionsFile)
  }

  /** True if an import has to be built again, as its options are others now, or it failed. */
  isOutdated(id: ModelId, environment: Environment | undefined): boolean {
    try {
      return !isDeepStrictEqual(this.#requests.get(keyOf(id, environment)), this.#resolve(id, environment, {}))
    } catch {
      return true
    }
  }

  #resolve({ file, query }: ModelId, environment: Environment | undefined, place: { importSite?: string }) {
    return resolveRequest({ plugin: this.options, query, file, root: this.root, environment, ...place })
  }

  /** True for a file that a build made, now or for a cache that a bundler kept: it goes to the bundler as it is. */
  isArtifact(file: string): boolean {
    return this.#artifacts.has(file) || this.#cacheFolders().some((folder) => file.startsWith(folder + sep))
  }

  #cacheFolders(): string[] {
    const folders = cacheFolders(this.root, this.options.cache ? this.options.cache.dir : undefined)
    return folders.flatMap((folder) => (existsSync(folder) ? [folder, realpathSync(folder)] : folder))
  }

  /** Bundlers may follow links before they ask: both names of a file are known. */
  #know(file: string): void {
    this.#artifacts.add(file).add(realpathSync(file))
  }

  /** A text that differs where the same import may give another module: for caches that bundlers keep. */
  identity(): string {
    const { version } = createRequire(import.meta.url)('unplugin-onnx/package.json') as { version: string }
    const file = this.optionsFile
    return JSON.stringify([version, process.env['ONNX_TARGET'], this.#own, file && optionsFileHash(file)])
  }

  /** The imports built since the last call. */
  takeFresh(): BuiltImport[] {
    const fresh = this.#fresh
    this.#fresh = []
    return fresh
  }

  /** Says that a build begins; its end is told by {@link release}. Several environments of Vite build at once. */
  retain(): void {
    this.#users++
  }

  /** Ends the workers when nobody builds any more. */
  async release(): Promise<void> {
    this.#users = Math.max(0, this.#users - 1)
    if (this.#users > 0) return
    const pipeline = this.#pipeline
    this.#pipeline = undefined
    await pipeline?.close()
  }

  #open(): Pipeline {
    this.#pipeline ??= createPipeline({
      root: this.root,
      cache: cacheSettings(this.options),
      onProgress: (progress) => this.onProgress?.(progress),
    })
    return this.#pipeline
  }
}

function keyOf({ file, query }: ModelId, environment: Environment | undefined): string {
  return `${environment?.kind} ${file}?${query}`
}

/** An error that the user can act on; anything else is our mistake and says so, with its stack. */
export function asOnnxError(error: unknown, importSite: string | undefined): OnnxError {
  const known =
    error instanceof OnnxError
      ? error
      : new OnnxError('INTERNAL', `unexpected failure: ${error instanceof Error ? error.stack : String(error)}`, {
          hint: 'This is a fault of unplugin-onnx; please report it with the model, if you can share it.',
          cause: error,
        })
  return known.at({ importSite })
}
