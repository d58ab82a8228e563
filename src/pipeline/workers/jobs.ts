import type { AnyOptions, AnyPass } from '../../passes/pass.ts'
import { isProgram, loadProgram, type Program } from '../../programs/load.ts'
import type { AdapterFile, EntryFile, EntryReport } from '../cache/entry.ts'
import { toOnnxError } from '../failure.ts'
import { type HashedFile, hashFile } from '../hash.ts'
import type { ModelInfo } from '../types.ts'

/** What a worker tells while it works. */
export interface JobProgress {
  /** `hash`, `read`, `write`, or the name of a pass. */
  phase: string
  /** 0..1 within the phase. */
  fraction: number
}

/** Hash a file; with `model`, also find out which external data files it names and hash those. */
export interface HashJob {
  kind: 'hash'
  file: string
  model: boolean
}

export interface HashResult extends HashedFile {
  external: (HashedFile & { location: string })[]
}

/** Run passes on a model and write the result into `folder`. */
export interface BuildJob {
  kind: 'build'
  file: string
  /** Base name of the result. */
  name: string
  /** Existing empty folder for the result. */
  folder: string
  device: string
  threads: number
  passes: { name: string; params: AnyOptions }[]
}

/** A file that a build wrote. `hash` is left out when it is a copy of the source file of that name. */
export interface BuiltFile extends Omit<EntryFile, 'hash'> {
  hash?: string | undefined
}

export interface BuildResult {
  model: BuiltFile
  external: BuiltFile[]
  adapters?: AdapterFile[]
  tokenizer?: EntryFile
  info: ModelInfo
  report: EntryReport
}

export type Job = HashJob | BuildJob
export type ResultOf<J extends Job> = J extends HashJob ? HashResult : BuildResult

/** What surrounds a job: the same for a job in a worker and one on the main thread. */
export interface JobContext {
  /** The passes to choose from. Default: all. */
  passes?: readonly AnyPass[] | undefined
  progress(progress: JobProgress): void
  signal: AbortSignal
}

/** Does one job on this thread. Everything heavy is imported only when a job needs it. */
export async function runJob<J extends Job>(job: J, context: JobContext): Promise<ResultOf<J>> {
  try {
    return (job.kind === 'hash' ? await hash(job, context) : await build(job, context)) as ResultOf<J>
  } catch (error) {
    throw toOnnxError(error, job.kind === 'hash' ? 'read' : 'write')
  }
}

async function build(job: BuildJob, { passes, progress, signal }: JobContext): Promise<BuildResult> {
  const { exports, keep } = await loadBuilds()
  const result = await exports.runPasses(job, { passes: passes ?? exports.allPasses, progress, signal })
  keep(job.passes.map(({ name }) => name))
  return result
}

/** The programs that start from nothing again and again have this code in a file of its own, as they often do without. */
async function loadBuilds(): Promise<Program<typeof import('../builds.ts')>> {
  return isProgram() ? loadProgram('builds.cjs') : { exports: await import('../builds.ts'), keep() {} }
}

async function hash({ file, model }: HashJob, { progress }: JobContext): Promise<HashResult> {
  const report = (fraction: number) => progress({ phase: 'hash', fraction })
  const hashed = await hashFile(file, report)
  if (!model) return { ...hashed, external: [] }
  const { externalFiles } = await import('../external-files.ts')
  const external: HashResult['external'] = []
  for (const { location, path } of await externalFiles(file))
    external.push({ ...(await hashFile(path, report)), location })
  return { ...hashed, external }
}
