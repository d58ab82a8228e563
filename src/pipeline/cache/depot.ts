import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { OnnxError } from '../../onnx/errors.ts'
import type { Note } from '../../passes/pass.ts'
import { stampFile } from '../hash.ts'
import { mkdtemp, remove } from '../quick-files.ts'
import type { StatIndex } from '../stat-index.ts'
import type { Executor } from '../workers/executor.ts'
import { type Entry, filesOf } from './entry.ts'
import type { RemoteCache } from './remote.ts'
import type { Store } from './store.ts'

/** An entry that is complete on this machine, and where. */
export interface Found {
  entry: Entry
  folder: string
}

/** A place to build an entry in. */
export interface Staged {
  store: Store
  folder: string
}

export interface DepotConfig {
  /** On disk: the first is used, the others where it can't be written. */
  stores: readonly Store[]
  remote?: RemoteCache | undefined
  index: StatIndex
  executor: Executor
  warn(note: Note): void
}

/** System errors that say "not here", so that another folder may do. A full disk is not among them. */
const NOT_WRITABLE = new Set(['EROFS', 'EACCES', 'EPERM', 'ENOTDIR', 'EEXIST', 'ENOENT', 'ENOTSUP', 'ELOOP'])

/** All levels of the cache behind one door: local disk, a substitute where that is not writable, and shared storage. */
export class Depot {
  readonly #config: DepotConfig
  readonly #uploads = new Set<Promise<void>>()
  #remoteFailed = false
  #writable = 0
  #swept = false

  constructor(config: DepotConfig) {
    this.#config = config
  }

  /** The entry with this key, checked: sizes always, content when a file is not as it was when last checked. */
  async find(key: string, signal?: AbortSignal): Promise<Found | undefined> {
    for (const store of this.#config.stores) {
      const entry = await store.read(key)
      if (!entry) continue
      const folder = store.entryFolder(key)
      if (await this.#isSound(entry, folder, signal)) {
        await store.touch(key)
        return { entry, folder }
      }
      this.#config.warn({
        level: 'warn',
        code: 'cache/corrupt',
        message: `the cached ${entry.model.name} is damaged and is built again (${folder})`,
      })
      await store.evict(key)
    }
    return this.#fetch(key, signal)
  }

  /** Opens a folder to build an entry in. */
  async stage(): Promise<Staged> {
    const { stores, warn } = this.#config
    for (;;) {
      const at = this.#writable
      const store = stores[at]!
      try {
        const folder = await store.stage()
        if (!this.#swept) {
          this.#swept = true
          store.sweep().catch(() => {})
        }
        return { store, folder }
      } catch (error) {
        const next = stores[at + 1]
        if (!NOT_WRITABLE.has((error as NodeJS.ErrnoException).code ?? '')) throw error
        if (!next) throw notWritable(store.folder, error)
        // Another build may have moved on meanwhile, and warned.
        if (this.#writable !== at) continue
        this.#writable++
        warn({
          level: 'warn',
          code: 'cache/not-writable',
          message: `the cache folder ${store.folder} can't be written (${(error as Error).message}); using ${next.folder}`,
        })
      }
    }
  }

  /** Makes a staged entry visible, and sends it to the shared storage in the background. */
  async commit({ store, folder: staging }: Staged, built: Entry): Promise<Found> {
    const entry = await store.commit(staging, built)
    const folder = store.entryFolder(entry.key)
    await this.#remember(entry, folder)
    this.#upload({ entry, folder })
    return { entry, folder }
  }

  /** Waits for what is still on its way to the shared storage. */
  async flush(): Promise<void> {
    await Promise.all(this.#uploads)
    await this.#config.remote?.close().catch(() => {})
  }

  async #isSound(entry: Entry, folder: string, signal?: AbortSignal): Promise<boolean> {
    const { index, executor } = this.#config
    for (const { name, hash } of filesOf(entry)) {
      const file = join(folder, name)
      try {
        const known = await index.get(file, await stampFile(file))
        if (known) {
          if (known.hash !== hash) return false
          continue
        }
        const hashed = await executor.run({ kind: 'hash', file, model: false }, { signal })
        if (hashed.hash !== hash) return false
        await index.set(hashed, { ours: true })
      } catch (error) {
        if (signal?.aborted) throw error
        return false
      }
    }
    return true
  }

  async #remember(entry: Entry, folder: string): Promise<void> {
    for (const { name, hash } of filesOf(entry)) {
      const file = join(folder, name)
      await this.#config.index.set({ file, hash, stamp: await stampFile(file) }, { ours: true })
    }
  }

  async #fetch(key: string, signal?: AbortSignal): Promise<Found | undefined> {
    const { remote, executor } = this.#config
    if (!remote || this.#remoteFailed) return undefined
    const staged = await this.stage()
    try {
      const entry = await remote.fetch(key, staged.folder)
      if (!entry) return undefined
      for (const { name, hash } of filesOf(entry)) {
        const file = join(staged.folder, name)
        if ((await executor.run({ kind: 'hash', file, model: false }, { signal })).hash === hash) continue
        this.#config.warn({
          level: 'warn',
          code: 'cache/corrupt',
          message: `${name} in the shared cache is damaged and is built again`,
        })
        return undefined
      }
      const committed = await staged.store.commit(staged.folder, entry)
      const folder = staged.store.entryFolder(key)
      await this.#remember(committed, folder)
      return { entry: committed, folder }
    } catch (error) {
      if (signal?.aborted || isLocalFailure(error)) throw error
      this.#giveUpRemote(error)
      return undefined
    } finally {
      await staged.store.discard(staged.folder)
    }
  }

  #upload({ entry, folder }: Found): void {
    const { remote } = this.#config
    if (!remote || this.#remoteFailed) return
    const upload = remote
      .put(entry, folder)
      .catch((error: unknown) => this.#giveUpRemote(error))
      .finally(() => this.#uploads.delete(upload))
    this.#uploads.add(upload)
  }

  #giveUpRemote(error: unknown): void {
    if (this.#remoteFailed) return
    this.#remoteFailed = true
    this.#config.warn({
      level: 'warn',
      code: 'cache/shared-failed',
      message: `the shared cache failed and is not used any more in this run: ${error instanceof Error ? error.message : error}`,
    })
  }
}

function notWritable(folder: string, cause: unknown): OnnxError {
  return new OnnxError('CACHE_NOT_WRITABLE', `the cache folder can't be written (${folder})`, {
    cause,
    hint: 'Set `cache.dir` to a folder that this user may write.',
  })
}

/** True for errors of our own disk, which have nothing to do with the shared storage. */
function isLocalFailure(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EROFS'].includes((error as NodeJS.ErrnoException)?.code ?? '')
}

/** A folder for builds without a cache: artifacts live until `remove`. */
export async function temporaryFolder(): Promise<{ folder: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'unplugin-onnx-'))
  return { folder, remove: () => remove(folder, { recursive: true }) }
}
