import type { RemoteStorage } from '../options/index.ts'
import type { AnyPass, Note } from '../passes/pass.ts'
import type { BuildProgress } from './types.ts'

export interface CacheConfig {
  /** Folder of the cache. Default: `node_modules/.cache/unplugin-onnx` of the package that holds `root`. */
  dir?: string | undefined
  /** A second level shared by a team: any unstorage storage, or a driver (which is closed with the pipeline). */
  storage?: RemoteStorage | undefined
  /** Entries not used for this many milliseconds are removed when a pipeline that built something closes. Default 30 days. */
  maxAge?: number | undefined
  /** The least recently used entries are removed until the rest has at most this many bytes. Default 20 GiB. */
  maxBytes?: number | undefined
}

export interface PipelineConfig {
  /** Folder of the project. Default: the working directory. */
  root?: string | undefined
  /** False: nothing is kept beyond `close()`. */
  cache?: boolean | CacheConfig | undefined
  /** How many models are built at once. Default: as many as there are processors, at most 4. */
  concurrency?: number | undefined
  /** Memory in bytes that builds running at once may take by our estimate. Default: 70 % of what is free. */
  memory?: number | undefined
  /** True or the URL of the worker's file: builds run in worker threads; false: on this thread. Default: true when built. */
  workers?: boolean | URL | undefined
  /** What this thread does itself where it has nothing else to do, so that fewer threads have to start. Default: nothing. */
  thisThread?: 'hashes' | 'builds' | undefined
  /** The passes to choose from; only for builds on this thread. Default: all. */
  passes?: readonly AnyPass[] | undefined
  onProgress?: ((progress: BuildProgress) => void) | undefined
  /** Told what the user should know about the cache; what concerns a model is in its report. */
  onWarn?: ((note: Note) => void) | undefined
}

const DAY = 86_400_000

/** Limits of the automatic pruning. */
export const DEFAULT_LIMITS: { readonly maxAge: number; readonly maxBytes: number } = {
  maxAge: 30 * DAY,
  maxBytes: 20 * 2 ** 30,
}
