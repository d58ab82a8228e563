import { availableParallelism, freemem } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { installedKernels } from '../lint/web-runtime.ts'
import { OnnxError } from '../onnx/errors.ts'
import { ownersOf } from '../options/index.ts'
import type { AnyPass, Note } from '../passes/pass.ts'
import { Depot, type Found, type Staged, temporaryFolder } from './cache/depot.ts'
import type { Entry, EntryFile } from './cache/entry.ts'
import { RemoteCache } from './cache/remote.ts'
import { Store } from './cache/store.ts'
import { canonicalJson } from './canonical.ts'
import { type CacheConfig, DEFAULT_LIMITS, type PipelineConfig } from './config.ts'
import { placed } from './failure.ts'
import { Flights } from './flight.ts'
import { cacheFolders } from './folders.ts'
import { Gate } from './gate.ts'
import { cacheKey } from './key.ts'
import { type Plan, planBuild } from './plan.ts'
import { stat } from './quick-files.ts'
import { Sources } from './sources.ts'
import { StatIndex } from './stat-index.ts'
import type { Artifact, ArtifactFile, BuildReport, BuildRequest } from './types.ts'
import { defaultExecutor, type Executor, SPECULATE_BYTES } from './workers/executor.ts'
import type { BuildResult, HashResult, JobProgress } from './workers/jobs.ts'

/** Builds models. Any number of builds may run at once; equal ones share one run. */
export interface Pipeline {
  /**
   * The artifact of one model with one set of options, from the cache or freshly built.
   *
   * @throws OnnxError with the model's file and the import site; nothing half-written is left behind
   */
  build(request: BuildRequest): Promise<Artifact>
  /** Waits for writes to the shared cache, prunes, and ends the workers. The pipeline may be used again afterwards. */
  close(): Promise<void>
}

/** Everything about a result except who asked for it. */
interface Outcome extends Found {
  cache: BuildReport['cache']
  sources: string[]
}

interface Built extends Staged {
  result: BuildResult
}

/** What is alive between the first build and `close()`. */
interface Session {
  depot: Depot
  sources: Sources
  store: Store
  index: StatIndex
  built: number
  /** Removal of what builds left that were started early and not needed. */
  cleanups: Set<Promise<void>>
  dispose(): Promise<void>
}

/** How often a model is read again when it changes during its build. */
const ATTEMPTS = 3
/** Estimated memory of a build: a fixed part (ONNX Runtime, the graph) and a part of the weights. */
const BASE_MEMORY = 100 << 20
const MEMORY_PER_BYTE = 1.3

/** Makes a pipeline. Nothing is started or written before the first build. */
export function createPipeline(config: PipelineConfig = {}): Pipeline {
  return new CachedPipeline(config)
}

class CachedPipeline implements Pipeline {
  readonly #config: PipelineConfig
  readonly #root: string
  readonly #executor: Executor
  readonly #gate: Gate
  readonly #slots: number
  readonly #requests = new Flights<Outcome>()
  readonly #builds = new Flights<Found>()
  #session: Promise<Session> | undefined

  constructor(config: PipelineConfig) {
    this.#config = config
    this.#root = resolve(config.root ?? process.cwd())
    this.#slots = config.concurrency ?? Math.min(4, availableParallelism())
    this.#gate = new Gate(this.#slots, config.memory ?? freemem() * 0.7)
    // One thread more than builds: hashing, which decides whether to build at all, never waits for a build.
    this.#executor = defaultExecutor({
      workers: config.workers,
      maxThreads: this.#slots + 1,
      thisThread: config.thisThread,
      passes: config.passes,
    })
  }

  async build(request: BuildRequest): Promise<Artifact> {
    const start = performance.now()
    const file = resolve(this.#root, request.file)
    try {
      const plan = planBuild(request.options, await this.#passes())
      const { device } = plan.options
      const same = canonicalJson({ file, device, steps: plan.steps.map(({ pass, params }) => [pass.name, params]) })
      const outcome = await this.#requests.join(same, request.signal, (signal) => this.#resolve(file, plan, signal))
      return artifactOf(outcome, file, performance.now() - start, request.options.unused)
    } catch (error) {
      throw placed(error, { file, importSite: request.importSite })
    }
  }

  async close(): Promise<void> {
    this.#requests.abort()
    this.#builds.abort()
    const session = await this.#session?.catch(() => undefined)
    this.#session = undefined
    // Ending the threads ends what still runs in them; what that leaves is removed before anything else is.
    await this.#executor.close()
    await Promise.all([this.#requests.settled(), this.#builds.settled(), ...(session?.cleanups ?? [])])
    await session?.dispose()
    await this.#executor.close()
  }

  async #passes(): Promise<readonly AnyPass[]> {
    return this.#config.passes ?? (await import('../passes/index.ts')).allPasses
  }

  /** Finds the result in the cache, or builds it. Starts over when the model changes meanwhile. */
  async #resolve(file: string, plan: Plan, signal: AbortSignal): Promise<Outcome> {
    this.#session ??= this.#open()
    const session = await this.#session
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const outcome = await this.#attempt(session, file, plan, signal)
      if (outcome) return outcome
    }
    throw new OnnxError('MODEL_CHANGED', 'the model keeps changing while it is built', {
      hint: 'Wait until it is written completely, then build again.',
    })
  }

  async #attempt(session: Session, file: string, plan: Plan, signal: AbortSignal): Promise<Outcome | undefined> {
    const { depot, sources } = session
    const onProgress = this.#reporter(file)
    const remembered = await sources.remembered(file)
    const early = new AbortController()
    const start = (): Promise<Built> => this.#run(session, file, plan, early.signal)
    const started = remembered || !(await this.#shouldStartEarly(file)) ? undefined : start()
    started?.catch(() => {})
    let used = false
    try {
      const model = remembered ?? (await sources.hashModel(file, { signal, onProgress }))
      const dependencies = await this.#dependencies(sources, file, plan, signal)
      const key = cacheKey({
        name: basename(file),
        inputs: {
          model: model.hash,
          external: model.external.map(({ location, hash }) => [location, hash]),
          dependencies: dependencies.map(({ hash }) => hash),
        },
        plan,
        webKernels: installedKernels(plan.options.device, dirname(file))?.version,
      })
      const paths = [file, ...model.external.map((data) => data.file), ...dependencies.map((data) => data.file)]
      const described = { sources: paths, cache: this.#config.cache === false ? 'off' : 'hit' } as const
      const found = await depot.find(key, signal)
      if (found) return { ...found, ...described }
      const made = await this.#builds.join(key, signal, async (signal) => {
        used = true
        const stop = () => early.abort(signal.reason)
        signal.addEventListener('abort', stop, { once: true })
        const built = await (started ?? start()).catch(async (error: unknown) => {
          // A file that changed under the reader explains any error.
          if (await sources.unchanged(model)) throw error
          return undefined
        })
        signal.removeEventListener('abort', stop)
        if (!built) throw new SourceChanged()
        try {
          if (!(await sources.unchanged(model))) throw new SourceChanged()
          session.built++
          return await depot.commit(built, entryOf(key, built.result, model))
        } finally {
          await built.store.discard(built.folder)
        }
      })
      return { ...made, ...described, cache: described.cache === 'off' ? 'off' : 'miss' }
    } catch (error) {
      if (error instanceof SourceChanged) return undefined
      throw error
    } finally {
      if (!used) {
        early.abort()
        const cleanup = started
          ?.then(({ store, folder }) => store.discard(folder))
          .catch(() => {})
          .finally(() => session.cleanups.delete(cleanup!))
        if (cleanup) session.cleanups.add(cleanup)
      }
    }
  }

  /** Runs the passes in a worker, into a staging folder, when there is room for it. */
  async #run({ depot }: Session, file: string, plan: Plan, signal: AbortSignal): Promise<Built> {
    const { size } = await stat(file)
    return this.#gate.run(BASE_MEMORY + size * MEMORY_PER_BYTE, signal, async () => {
      const staged = await depot.stage()
      try {
        const result = await this.#executor.run(
          {
            kind: 'build',
            file,
            name: basename(file),
            folder: staged.folder,
            device: plan.options.device,
            threads: Math.max(1, Math.floor(availableParallelism() / Math.min(this.#slots, this.#gate.load))),
            passes: plan.steps.map(({ pass, params }) => ({ name: pass.name, params })),
          },
          { signal, onProgress: this.#reporter(file) },
        )
        return { ...staged, result }
      } catch (error) {
        await staged.store.discard(staged.folder)
        throw error
      }
    })
  }

  async #dependencies(sources: Sources, file: string, plan: Plan, signal: AbortSignal) {
    const paths = await Promise.all(plan.steps.map(({ pass, params }) => pass.dependencies?.(params, file) ?? []))
    return Promise.all(
      paths.flat().map((path) =>
        sources.hashOf(path, { signal }).catch((error: unknown) => {
          throw dependencyError(error, path)
        }),
      ),
    )
  }

  /** Building before the key is known only pays when it runs beside the hashing, and hashing takes a while. */
  async #shouldStartEarly(file: string): Promise<boolean> {
    return this.#executor.parallel && (await stat(file)).size >= SPECULATE_BYTES
  }

  #reporter(file: string): (progress: JobProgress) => void {
    return (progress) => this.#config.onProgress?.({ file, ...progress })
  }

  async #open(): Promise<Session> {
    const cache: CacheConfig = typeof this.#config.cache === 'object' ? this.#config.cache : {}
    const temporary = this.#config.cache === false ? await temporaryFolder() : undefined
    const folders = temporary ? [temporary.folder] : cacheFolders(this.#root, cache.dir)
    // The second folder lies in the system's temporary folder.
    const stores = folders.map((folder, i) => new Store(folder, { shared: i > 0 }))
    const index = new StatIndex(stores.map(({ statFolder }) => statFolder))
    const executor = this.#executor
    const depot = new Depot({
      stores,
      remote: cache.storage && !temporary ? new RemoteCache(cache.storage) : undefined,
      index,
      executor,
      warn: (note) => this.#config.onWarn?.(note),
    })
    const session: Session = {
      depot,
      sources: new Sources(index, executor),
      store: stores[0]!,
      index,
      built: 0,
      cleanups: new Set(),
      dispose: async () => {
        await depot.flush()
        if (temporary) await temporary.remove()
        else if (session.built > 0) {
          const limits = { ...DEFAULT_LIMITS, ...cache }
          await stores[0]!.prune(limits)
          await index.prune(limits.maxAge ?? DEFAULT_LIMITS.maxAge)
        }
      },
    }
    return session
  }
}

/** What is wrong with a file that an option names: it is no model, and not looked for where models are. */
function dependencyError(error: unknown, path: string): OnnxError {
  const known = placed(error, { file: path })
  if (known.code !== 'MODEL_NOT_FOUND') return known
  return new OnnxError('FILE_NOT_FOUND', 'there is no such file, which an option names', {
    place: { file: path },
    hint: "Check the path: in options of a model it is relative to the model's folder.",
    cause: known.cause,
  })
}

/** Thrown to leave a build whose model changed; never leaves this file. */
class SourceChanged extends Error {}

function entryOf(
  key: string,
  { model, external, adapters, tokenizer, info, report }: BuildResult,
  source: HashResult,
): Entry {
  // A copy was not hashed: it is what the source was, and the source did not change.
  const hashes = new Map([
    [model.name, source.hash],
    ...source.external.map((data) => [data.location, data.hash] as const),
  ])
  const complete = ({ name, bytes, hash }: BuildResult['model']): EntryFile => ({
    name,
    bytes,
    hash: hash ?? hashes.get(name)!,
  })
  return {
    key,
    model: complete(model),
    external: external.map(complete),
    ...(adapters ? { adapters } : {}),
    ...(tokenizer ? { tokenizer } : {}),
    info,
    report,
  }
}

function artifactOf(
  { entry, folder, cache, sources }: Outcome,
  file: string,
  ms: number,
  unused: readonly string[] = [],
): Artifact {
  const placed = <T extends EntryFile>(part: T): T & ArtifactFile => ({ file: join(folder, part.name), ...part })
  const { key, model, external, adapters = [], tokenizer, info, report } = structuredClone(entry)
  return {
    key,
    model: placed(model),
    external: external.map(placed),
    adapters: adapters.map(placed),
    ...(tokenizer ? { tokenizer: placed(tokenizer) } : {}),
    info,
    sources,
    report: { input: file, ...report, notes: [...unused.map(unusedNote), ...report.notes], ms, cache },
  }
}

/** No part of the cache entry: another request for the same result may not have set the parameter. */
function unusedNote(key: string): Note {
  return { level: 'warn', code: 'option/unused', message: `${key} has no effect: it is for ${ownersOf(key)}` }
}
