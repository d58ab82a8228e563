import { basename, dirname, join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { readModel } from '../graph/import.ts'
import type { Model } from '../graph/model.ts'
import { type PlacedData, writeModel } from '../graph/write.ts'
import { LINT_DEVICES } from '../lint/devices.ts'
import { OnnxError } from '../onnx/errors.ts'
import { createOrtService } from '../ort/service.ts'
import type {
  AnyOptions,
  AnyPass,
  Media,
  ModelAdapters,
  Note,
  PassContext,
  PassResult,
  ResultShape,
} from '../passes/pass.ts'
import { writeAdapters } from './adapters.ts'
import { type EntryFile, type EntryReport, SIDECAR } from './cache/entry.ts'
import { ContentHash, contentHash } from './content-hash.ts'
import { copy } from './copy.ts'
import { externalTensorFiles } from './external-tensors.ts'
import { throwIfAborted } from './failure.ts'
import { modelInfo } from './info.ts'
import { limitsNote, webgpuLimits } from './limits.ts'
import { stat, writeFile } from './quick-files.ts'
import type { BuildJob, BuildResult, BuiltFile, JobContext } from './workers/jobs.ts'

/** What surrounds a build. */
export type BuildContext = JobContext & { passes: readonly AnyPass[] }

/** Reads a model, runs passes on it, and writes the result into the job's folder. */
export async function runPasses(job: BuildJob, context: BuildContext): Promise<BuildResult> {
  const { progress, signal } = context
  progress({ phase: 'read', fraction: 0 })
  const model = readModel(job.file)
  const external = hasExternalData(model) ? externalTensorFiles(job.file) : []
  const sizes = await Promise.all(
    [job.file, ...external.map(({ path }) => path)].map(async (path) => (await stat(path)).size),
  )
  const opsBefore = model.histogram()
  const notes: Note[] = []
  const passes: EntryReport['passes'] = []
  const fused: Record<string, number> = {}
  const ort = createOrtService()
  let changes = 0
  let adapters: ModelAdapters | undefined
  const media: Record<string, Media> = {}
  let tokenizer: Uint8Array | undefined
  let meaning: ResultShape | undefined
  for (const { name, params } of job.passes) {
    // Lets a 'cancel' in, which waits in the queue while passes compute.
    await nextTurn()
    throwIfAborted(signal)
    const pass = context.passes.find((candidate) => candidate.name === name)
    if (!pass) throw new Error(`the worker does not know the pass "${name}"`)
    const start = performance.now()
    progress({ phase: name, fraction: 0 })
    const result = await runPass(pass, model, params, {
      ort,
      file: job.file,
      device: job.device,
      threads: job.threads,
      note: (note) => notes.push(note),
      progress: (fraction) => progress({ phase: name, fraction }),
      signal,
    })
    changes += result.changes
    adapters = result.adapters ?? adapters
    Object.assign(media, result.media)
    tokenizer = result.tokenizer ?? tokenizer
    meaning = result.result ?? meaning
    for (const [op, count] of Object.entries(result.fused ?? {})) fused[op] = (fused[op] ?? 0) + count
    const { data } = result
    const ms = Math.round((performance.now() - start) * 10) / 10
    passes.push({ name, ms, changes: result.changes, ...(data === undefined ? {} : { data }) })
    progress({ phase: name, fraction: 1 })
  }
  throwIfAborted(signal)
  if (LINT_DEVICES.includes(job.device)) {
    const { lintNotes } = await import('../lint/notes.ts')
    // Advice only: a model that can't be looked at is built all the same.
    notes.push(...(await lintNotes(model, job.device, dirname(job.file)).catch(() => [])))
  }
  const limits = webgpuLimits(model)
  if (limits && job.device === 'webgpu') notes.push(limitsNote(limits))
  const report = (fraction: number) => progress({ phase: 'write', fraction })
  report(0)
  const delivered = adapters && writeAdapters(model, adapters, job)
  const canCopy = changes === 0 && external.every(({ location }) => isPlainName(location, job.name))
  const files = canCopy ? await copySource(job, external) : await writeHashed(model, job, report, delivered?.placed)
  report(1)
  const [written, ...data] = files
  const total = (numbers: readonly number[]): number => numbers.reduce((sum, size) => sum + size, 0)
  return {
    model: written!,
    external: data,
    ...(delivered ? { adapters: delivered.files } : {}),
    ...(tokenizer ? { tokenizer: await writeTokenizer(tokenizer, job) } : {}),
    info: {
      ...modelInfo(model, delivered?.inputs, { media, result: meaning }),
      ...(limits ? { webgpuLimits: limits } : {}),
    },
    report: {
      bytesBefore: total(sizes),
      bytesAfter: total(files.map(({ bytes }) => bytes)),
      passes,
      opsBefore,
      opsAfter: model.histogram(),
      fused,
      notes,
    },
  }
}

async function runPass(pass: AnyPass, model: Model, params: AnyOptions, context: PassContext): Promise<PassResult> {
  try {
    return await pass.run(model, params, context)
  } catch (error) {
    if (error instanceof OnnxError || context.signal?.aborted) throw error
    const { code, name, message } = error as NodeJS.ErrnoException
    // Disk and memory trouble is explained further out.
    if (code?.startsWith('E') || error instanceof RangeError) throw error
    throw new OnnxError('PASS_FAILED', `the pass "${pass.name}" failed: ${name}: ${message}`, {
      cause: error,
      hint: 'This is a fault of unplugin-onnx: please report it with the model, or the part of it you can share.',
    })
  }
}

/** Writes the tokenizer beside the model. */
async function writeTokenizer(bytes: Uint8Array, { folder, name: model }: BuildJob): Promise<EntryFile> {
  const name = `${model.replace(/\.onnx$/, '')}.tokenizer`
  await writeFile(join(folder, name), bytes)
  return { name, bytes: bytes.length, hash: contentHash(bytes) }
}

/** True if any tensor's data lies in another file. Asked of the model at hand, as decoding it again takes time. */
function hasExternalData(model: Model): boolean {
  for (const graph of model.allGraphs())
    for (const { tensor } of graph.initializers) if (tensor?.isExternal) return true
  for (const node of model.allNodes())
    for (const attribute of node.attributes.values()) {
      if (attribute.kind === 'tensor' && attribute.value.isExternal) return true
      if (attribute.kind === 'tensors' && attribute.value.some((tensor) => tensor.isExternal)) return true
      // Sparse tensors are not taken apart: their parts may lie anywhere.
      if (attribute.kind === 'sparse_tensor' || attribute.kind === 'sparse_tensors') return true
    }
  return [...model.allGraphs()].some((graph) => [...graph.initializers].some(({ sparse }) => sparse))
}

/** Writes the model and hashes what is written, in one go. */
async function writeHashed(
  model: Model,
  { folder, name }: BuildJob,
  onProgress: (fraction: number) => void,
  placed: ReadonlyMap<string, PlacedData> = new Map(),
): Promise<BuiltFile[]> {
  const hashes = new Map<string, ContentHash>()
  const expected = Math.max(1, model.weightBytes)
  let done = 0
  const files = await writeModel(model, join(folder, name), {
    location: `${name}_data`,
    placed,
    onPiece: (piece, part) => {
      const hash = hashes.get(part) ?? new ContentHash()
      hashes.set(part, hash)
      done += piece.length
      onProgress(Math.min(1, done / expected))
      return hash.addPiece(piece)
    },
  })
  return Promise.all(
    files.map(async ({ path, name, bytes }) => ({
      name: basename(path),
      bytes,
      hash: await (hashes.get(name) ?? new ContentHash()).digest(),
    })),
  )
}

/** Byte for byte. */
async function copySource(
  { file, folder, name }: BuildJob,
  external: readonly { location: string; path: string }[],
): Promise<BuiltFile[]> {
  const copied: BuiltFile[] = []
  for (const part of [{ location: name, path: file }, ...external]) {
    const target = join(folder, part.location)
    await copy(part.path, target)
    copied.push({ name: part.location, bytes: (await stat(target)).size })
  }
  return copied
}

/** True if a data file can keep the name that the model has for it: no folders, and free. */
function isPlainName(location: string, model: string): boolean {
  return (
    basename(location) === location &&
    !/[\\]/.test(location) &&
    location !== model &&
    location !== SIDECAR &&
    location !== '..'
  )
}
