import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Driver, Storage } from 'unstorage'
import type { RemoteStorage } from '../../options/index.ts'
import { type Entry, filesOf, parseEntry, SIDECAR } from './entry.ts'

/**
 * Files travel in pieces: no store has to take a value of hundreds of megabytes (Redis ends at 512 MB, JavaScript strings
 * at about the same), and neither side holds a whole model in memory.
 */
const PIECE = 4 << 20

/** How long one operation may take before the shared cache counts as out of order. */
const TIMEOUT_MS = 30_000

/**
 * The second level of the cache, shared by a team: any unstorage storage. Below `<key>` lie `entry` (the sidecar, written
 * last) and `<hash>:<n>` (pieces of the files). What comes from there is checked by its hashes before it is used.
 */
export class RemoteCache {
  /** A driver is closed with the pipeline, a storage is not ours. */
  readonly #given: RemoteStorage
  #storage: Promise<Storage> | undefined
  readonly #timeout: number

  constructor(storage: RemoteStorage, timeout: number = TIMEOUT_MS) {
    this.#given = storage
    this.#timeout = timeout
  }

  /**
   * Copies an entry's files into `folder`.
   *
   * @returns the sidecar, or undefined when the storage has no complete entry. Sizes are checked here, hashes by the caller.
   */
  async fetch(key: string, folder: string): Promise<Entry | undefined> {
    const sidecar = await this.#get(`${key}:entry`)
    const entry = sidecar && parseEntry(Buffer.from(sidecar).toString('utf8'), key)
    if (!entry) return undefined
    for (const file of filesOf(entry)) {
      const handle = await open(join(folder, file.name), 'wx')
      try {
        for (let done = 0, piece = 0; done < file.bytes; piece++) {
          const bytes = await this.#get(`${key}:${file.hash}:${piece}`)
          if (!bytes || bytes.length !== Math.min(PIECE, file.bytes - done)) return undefined
          await handle.writeFile(bytes)
          done += bytes.length
        }
      } finally {
        await handle.close()
      }
    }
    return entry
  }

  /** Copies an entry there, the sidecar last; what is there under its key is replaced. */
  async put(entry: Entry, folder: string): Promise<void> {
    const storage = await this.#open()
    for (const { name, hash, bytes } of filesOf(entry)) {
      const handle = await open(join(folder, name), 'r')
      try {
        for (let done = 0, piece = 0; done < bytes; piece++) {
          const buffer = Buffer.allocUnsafeSlow(Math.min(PIECE, bytes - done))
          const { bytesRead } = await handle.read(buffer, 0, buffer.length, done)
          if (bytesRead !== buffer.length) throw new Error(`${name} is shorter than it should be`)
          await this.#within(storage.setItemRaw(`${entry.key}:${hash}:${piece}`, buffer))
          done += bytesRead
        }
      } finally {
        await handle.close()
      }
    }
    const sidecar = await readFile(join(folder, SIDECAR))
    await this.#within(storage.setItemRaw(`${entry.key}:entry`, sidecar))
  }

  /** Closes the connection if it is ours. */
  async close(): Promise<void> {
    const storage = this.#storage
    this.#storage = undefined
    if (storage && !isStorage(this.#given)) await this.#within((await storage).dispose())
  }

  async #get(key: string): Promise<Uint8Array | undefined> {
    return toBytes(await this.#within((await this.#open()).getItemRaw<unknown>(key)))
  }

  #open(): Promise<Storage> {
    const given = this.#given
    this.#storage ??= isStorage(given)
      ? Promise.resolve(given)
      : import('unstorage').then(({ createStorage }) => createStorage({ driver: given as Driver }))
    return this.#storage
  }

  async #within<T>(work: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${this.#timeout / 1000} s`)), this.#timeout)
    })
    try {
      return await Promise.race([work, late])
    } finally {
      clearTimeout(timer)
    }
  }
}

function isStorage(storage: RemoteStorage): storage is RemoteStorage & Storage {
  return 'mount' in storage && typeof storage.mount === 'function'
}

/** Drivers give raw values back in several shapes. */
async function toBytes(value: unknown): Promise<Uint8Array | undefined> {
  if (value instanceof Uint8Array) return value
  if (value instanceof ArrayBuffer) return new Uint8Array(value)
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
  if (value instanceof Blob) return new Uint8Array(await value.arrayBuffer())
  if (typeof value === 'string') return Buffer.from(value)
  return undefined
}
