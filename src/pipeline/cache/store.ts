import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { lstat, mkdir, readdir, readFile, remove, rename, stat, utimes, writeFile } from '../quick-files.ts'
import { type Entry, filesOf, parseEntry, SIDECAR } from './entry.ts'
import { makeFolder } from './make-folder.ts'

/** An entry as `ls` shows it. */
export interface StoredEntry {
  key: string
  /** Base name of the model. */
  name: string
  /** Size of all files. */
  bytes: number
  /** When it was last built or hit, in milliseconds since 1970. */
  lastUsed: number
}

export interface PruneOptions {
  /** Entries not used for this many milliseconds go. */
  maxAge?: number | undefined
  /** The least recently used go until the rest has at most this size. */
  maxBytes?: number | undefined
}

export interface PruneResult {
  removed: StoredEntry[]
  /** Size of what is left. */
  bytes: number
}

const MINUTE = 60_000
const DAY = 86_400_000

/**
 * Entries on disk, one folder each: `entries/<key>/{artifact.json, model.onnx, ...}`. An entry is built in `staging/` and
 * appears by one rename of its folder, so that whoever sees it sees all of it, in any number of processes.
 */
export class Store {
  readonly folder: string
  readonly #shared: boolean

  /** @param shared true for a folder in a place where anybody may make files: used only if it belongs to this user */
  constructor(folder: string, { shared = false }: { shared?: boolean } = {}) {
    this.folder = folder
    this.#shared = shared
  }

  entryFolder(key: string): string {
    return join(this.folder, 'entries', key)
  }

  /** Folder of the stat index; it belongs to the cache and goes with it. */
  get statFolder(): string {
    return join(this.folder, 'stat')
  }

  /** The entry with this key if its sidecar can be read and its files have their sizes. Content is not read. */
  async read(key: string): Promise<Entry | undefined> {
    const folder = this.entryFolder(key)
    if (this.#shared && !(await isPrivate(this.folder))) return undefined
    try {
      const entry = parseEntry(await readFile(join(folder, SIDECAR), 'utf8'), key)
      if (!entry) return undefined
      const sizes = await Promise.all(filesOf(entry).map(async ({ name }) => (await stat(join(folder, name))).size))
      return filesOf(entry).every(({ bytes }, i) => bytes === sizes[i]) ? entry : undefined
    } catch {
      return undefined
    }
  }

  /** True if anything is there under this key, sound or not. */
  async has(key: string): Promise<boolean> {
    return stat(this.entryFolder(key)).then(
      () => true,
      () => false,
    )
  }

  /** Notes that an entry was used, for pruning. At most once an hour, and never an error. */
  async touch(key: string): Promise<void> {
    const sidecar = join(this.entryFolder(key), SIDECAR)
    try {
      if (Date.now() - (await stat(sidecar)).mtimeMs > 60 * MINUTE) await utimes(sidecar, new Date(), new Date())
    } catch {
      // A read-only cache serves hits all the same.
    }
  }

  /** Makes an empty folder to build an entry in. Its name tells who works there. */
  async stage(): Promise<string> {
    const folder = join(this.folder, 'staging', `${process.pid}@${host}-${randomBytes(6).toString('hex')}`)
    if (this.#shared) await makePrivate(this.folder)
    await makeFolder(folder)
    return folder
  }

  /** Gives up a staging folder. */
  async discard(staging: string): Promise<void> {
    await remove(staging, { recursive: true }).catch(() => {})
  }

  /**
   * Makes a staged entry visible. When another process was faster its entry stays and ours is discarded: both have the same
   * content, by the meaning of the key. A broken entry in the way is replaced.
   *
   * @returns the entry that is visible now
   */
  async commit(staging: string, entry: Entry): Promise<Entry> {
    await writeFile(join(staging, SIDECAR), `${JSON.stringify(entry, undefined, 1)}\n`)
    const target = this.entryFolder(entry.key)
    await makeFolder(join(this.folder, 'entries'))
    for (let attempt = 0; ; attempt++) {
      try {
        await rename(staging, target)
        return entry
      } catch (error) {
        const theirs = await this.read(entry.key)
        if (theirs) {
          await this.discard(staging)
          return theirs
        }
        if (attempt === 4 || !(await this.has(entry.key))) throw error
        await this.evict(entry.key)
      }
    }
  }

  /** Removes an entry; it disappears at once, by a rename. */
  async evict(key: string): Promise<void> {
    const grave = join(this.folder, 'staging', `${process.pid}@${host}-${randomBytes(6).toString('hex')}`)
    await makeFolder(join(this.folder, 'staging')).catch(() => {})
    await rename(this.entryFolder(key), grave).then(
      () => this.discard(grave),
      () => remove(this.entryFolder(key), { recursive: true }).catch(() => {}),
    )
  }

  /** All entries, most recently used first. Broken ones are listed under the name `(broken)`. */
  async ls(): Promise<StoredEntry[]> {
    const keys = await readdir(join(this.folder, 'entries')).catch(() => [] as string[])
    const entries = await Promise.all(
      keys.map(async (key): Promise<StoredEntry> => {
        const entry = await this.read(key)
        const folder = this.entryFolder(key)
        const used = await stat(entry ? join(folder, SIDECAR) : folder).catch(() => undefined)
        const bytes = entry ? filesOf(entry).reduce((sum, file) => sum + file.bytes, 0) : 0
        return { key, name: entry?.model.name ?? '(broken)', bytes, lastUsed: used?.mtimeMs ?? 0 }
      }),
    )
    return entries.sort((a, b) => b.lastUsed - a.lastUsed || (a.key < b.key ? -1 : 1))
  }

  /** Removes entries by age and by total size, and broken ones. */
  async prune({ maxAge, maxBytes }: PruneOptions): Promise<PruneResult> {
    const removed: StoredEntry[] = []
    let bytes = 0
    for (const entry of await this.ls()) {
      const tooOld = maxAge !== undefined && Date.now() - entry.lastUsed > maxAge
      const tooMuch = maxBytes !== undefined && bytes + entry.bytes > maxBytes
      if (tooOld || tooMuch || entry.name === '(broken)') {
        await this.evict(entry.key)
        removed.push(entry)
      } else bytes += entry.bytes
    }
    await this.sweep()
    return { removed, bytes }
  }

  /** Removes all entries and everything remembered. */
  async clear(): Promise<void> {
    for (const part of ['entries', 'staging', 'stat']) await remove(join(this.folder, part), { recursive: true })
  }

  /**
   * Removes what killed builds left in `staging/`. A folder is left alone while the process that its name tells of may
   * still be at work; on another machine, or where process ids are reused, age decides.
   */
  async sweep(): Promise<void> {
    const staging = join(this.folder, 'staging')
    for (const name of await readdir(staging).catch(() => [] as string[])) {
      const folder = join(staging, name)
      const { mtimeMs } = (await stat(folder).catch(() => undefined)) ?? {}
      if (mtimeMs === undefined) continue
      const age = Date.now() - mtimeMs
      const [, pid, owner] = /^(\d+)@(.+)-[0-9a-f]{12}$/.exec(name) ?? []
      const gone = owner === host && pid !== undefined && !isAlive(Number(pid))
      if (age > DAY || (gone && age > 10 * MINUTE)) await remove(folder, { recursive: true }).catch(() => {})
    }
  }
}

const host = hostname().replace(/[^\w.-]/g, '_')

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Makes a folder that only this user may enter, or throws if somebody else has taken its name. */
async function makePrivate(folder: string): Promise<void> {
  try {
    await mkdir(folder, { mode: 0o700 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    if (!(await isPrivate(folder)))
      throw Object.assign(new Error(`${folder} belongs to somebody else`), { code: 'EACCES', path: folder })
  }
}

async function isPrivate(folder: string): Promise<boolean> {
  const stats = await lstat(folder).catch(() => undefined)
  if (!stats?.isDirectory()) return false
  // Windows has no user numbers, and a temporary folder per user.
  return process.getuid === undefined || (stats.uid === process.getuid() && (stats.mode & 0o022) === 0)
}
