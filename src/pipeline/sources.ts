import { dirname, resolve } from 'node:path'
import { toOnnxError } from './failure.ts'
import { Flights } from './flight.ts'
import { type FileStamp, type HashedFile, sameStamp, stampFile } from './hash.ts'
import { realpath } from './quick-files.ts'
import type { StatIndex } from './stat-index.ts'
import type { Executor, RunOptions } from './workers/executor.ts'
import type { HashResult } from './workers/jobs.ts'

/** Knows the content hash of source files: remembered where the file did not change, else read in a worker. */
export class Sources {
  readonly #index: StatIndex
  readonly #executor: Executor
  readonly #flights = new Flights<HashResult>()

  constructor(index: StatIndex, executor: Executor) {
    this.#index = index
    this.#executor = executor
  }

  /** The hashes of a model and its data files if none of them changed since they were last read. Reads no content. */
  async remembered(file: string): Promise<HashResult | undefined> {
    const stamp = await stampSource(file)
    const known = await this.#index.get(file, stamp)
    if (!known?.external) return undefined
    const external: HashResult['external'] = []
    for (const { location, path } of known.external) {
      try {
        // A link that leads elsewhere now must be looked at again.
        if ((await realpath(resolve(dirname(file), location))) !== path) return undefined
        const dataStamp = await stampFile(path)
        const data = await this.#index.get(path, dataStamp)
        if (!data) return undefined
        external.push({ location, file: path, hash: data.hash, stamp: dataStamp })
      } catch {
        return undefined
      }
    }
    return { file, hash: known.hash, stamp, external }
  }

  /** Reads and hashes a model and its data files, and remembers the result. */
  hashModel(file: string, options: RunOptions): Promise<HashResult> {
    return this.#hash(file, true, options)
  }

  /** Hash of a file that a pass depends on, remembered or read. */
  async hashOf(file: string, options: RunOptions): Promise<HashedFile> {
    const stamp = await stampSource(file)
    const known = await this.#index.get(file, stamp)
    return known ? { file, hash: known.hash, stamp } : this.#hash(file, false, options)
  }

  /** True if a model and its data files are still what was hashed. */
  async unchanged({ file, stamp, external }: HashResult): Promise<boolean> {
    const same = (path: string, before: FileStamp): Promise<boolean> =>
      stampFile(path).then(
        (now) => sameStamp(before, now),
        () => false,
      )
    const all = await Promise.all([same(file, stamp), ...external.map((data) => same(data.file, data.stamp))])
    return all.every(Boolean)
  }

  #hash(file: string, model: boolean, { signal, onProgress }: RunOptions): Promise<HashResult> {
    return this.#flights.join(`${model} ${file}`, signal, async (signal) => {
      const result = await this.#executor.run({ kind: 'hash', file, model }, { signal, onProgress })
      const external = result.external.map(({ location, file }) => ({ location, path: file }))
      for (const data of result.external) await this.#index.set(data)
      await this.#index.set(result, model ? { external } : {})
      return result
    })
  }
}

async function stampSource(file: string): Promise<FileStamp> {
  try {
    return await stampFile(file)
  } catch (error) {
    throw toOnnxError(error, 'read')
  }
}
