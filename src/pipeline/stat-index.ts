import { createHash, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { makeFolder } from './cache/make-folder.ts'
import { type FileStamp, type HashedFile, sameStamp } from './hash.ts'
import { readdir, readFile, remove, rename, stat, writeFile } from './quick-files.ts'

/** A file that was written less than this long before it was hashed may change again with the same time stamp. */
const RACY_MS = 2000

interface Remembered {
  path: string
  hash: string
  stamp: FileStamp
  /** External data of the model: the location it names, and where that really is; absent for files that are no model. */
  external?: { location: string; path: string }[]
}

/**
 * Remembers the content hash of files by path and stamp, so that a warm build reads no weights. One small JSON file per path:
 * many processes may write at once, and the worst that can happen is that something is hashed again.
 */
export class StatIndex {
  readonly #folders: readonly string[]

  /** @param folders where to look and to write, best first; a later one serves when an earlier can't be written. */
  constructor(folders: readonly string[]) {
    this.#folders = folders
  }

  /** The remembered entry of `path`, or undefined when the file has (or may have) changed since. */
  async get(path: string, stamp: FileStamp): Promise<Remembered | undefined> {
    for (const folder of this.#folders) {
      try {
        const entry = JSON.parse(await readFile(join(folder, entryName(path)), 'utf8')) as Remembered
        if (entry.path === path && typeof entry.hash === 'string' && sameStamp(entry.stamp, stamp)) return entry
      } catch {
        // Not remembered here, or torn: the next folder, or hashing, tells.
      }
    }
    return undefined
  }

  /**
   * Remembers a hash. A file so fresh that a later write could leave the same stamp is not remembered, except `ours`:
   * a file of the cache, which nobody edits. Failure to write costs time later and nothing else.
   */
  async set(
    { file, hash, stamp }: HashedFile,
    options: Pick<Remembered, 'external'> & { ours?: boolean } = {},
  ): Promise<void> {
    const newest = Math.max(Number(stamp.mtimeNs), Number(stamp.ctimeNs)) / 1e6
    if (!options.ours && Date.now() - newest < RACY_MS) return
    const entry: Remembered = { path: file, hash, stamp }
    if (options.external) entry.external = options.external
    for (const folder of this.#folders) {
      const target = join(folder, entryName(file))
      const temporary = `${target}.${process.pid}-${randomBytes(4).toString('hex')}`
      try {
        await makeFolder(folder)
        await writeFile(temporary, JSON.stringify(entry))
        await rename(temporary, target)
        return
      } catch {
        await remove(temporary).catch(() => {})
      }
    }
  }

  /** Removes entries that nobody wrote for `maxAge` milliseconds, and temporary files that a killed process left. */
  async prune(maxAge: number): Promise<void> {
    for (const folder of this.#folders) {
      for (const name of await readdir(folder).catch(() => [] as string[])) {
        const file = join(folder, name)
        const modified = (await stat(file).catch(() => undefined))?.mtimeMs ?? Number.POSITIVE_INFINITY
        if (Date.now() - modified > (name.endsWith('.json') ? maxAge : HOUR)) await remove(file).catch(() => {})
      }
    }
  }
}

const HOUR = 3_600_000

function entryName(path: string): string {
  return `${createHash('sha256').update(path).digest('hex').slice(0, 32)}.json`
}
