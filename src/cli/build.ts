import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import pc from 'picocolors'
import { OnnxError } from '../onnx/errors.ts'
import { cacheSettings, type ResolvedOptions, resolveRequest } from '../options/index.ts'
import { copyCompanions, createPipeline, deliver, huggingFacePath, leftNote } from '../pipeline/index.ts'
import { buildJson, buildLine, buildTable, formatBytes, noteLines, type ReportRow } from '../report/index.ts'
import { EXIT, type Invocation, type Io } from './command.ts'
import { loadConfig } from './config.ts'
import { findModels } from './models.ts'
import { createProgress } from './progress.ts'

interface Job {
  file: string
  options: ResolvedOptions
  target: string
}

/** `build`: one result per model and target. A model that fails does not keep the others from being built. */
export async function run({ operands, flags, params }: Invocation, io: Io): Promise<number> {
  const root = resolve(io.cwd, (flags['root'] as string | undefined) ?? '.')
  const plugin = await loadConfig(flags['config'], io.cwd, root)
  const files = await findModels(operands, io.cwd)
  const jobs = plan(
    files,
    flags,
    io.cwd,
    (file) => resolveRequest({ plugin, query: params, file, root, environment: { kind: 'server' } }).targets,
  )
  const huggingFace = flags['emit'] === 'huggingface'
  const progress = await createProgress(io, flags['json'] === true)
  const pipeline = createPipeline({
    root,
    // One model that nobody watches a bar of needs no thread, which takes as long to start as small models to build.
    thisThread: jobs.length === 1 && !io.isTerminal ? 'builds' : 'hashes',
    cache: flags['cache'] === false ? false : cacheSettings(plugin),
    onProgress: (state) => progress.update(state),
    onWarn: ({ message }) => io.err(`warning: ${message}`),
  })
  const taken = new Set<string>()
  const errors: { input: string; error: unknown }[] = []
  const rows: ReportRow[] = []
  // Results are written one after another: which data file gets its own name must not depend on who is faster.
  let written: Promise<unknown> = Promise.resolve()
  try {
    await Promise.all(
      jobs.map(async ({ file, options, target }, i) => {
        try {
          const artifact = await pipeline.build({ file, options })
          const { notes } = artifact.report
          const onLeft = (left: string): void => void notes.push(leftNote(relative(io.cwd, left)))
          const delivery = written.then(() => deliver(artifact, target, { taken, ownData: huggingFace, onLeft }))
          written = delivery.catch(() => {})
          const paths = (await delivery).slice(1 + artifact.external.length)
          const adapters = artifact.adapters.map(({ adapter, bytes, hash }, at) => ({
            name: adapter,
            file: paths[at]!,
            bytes,
            hash,
          }))
          if (huggingFace) await copyCompanions(file, dirname(dirname(target)))
          rows[i] = {
            report: { ...artifact.report, output: target, adapters },
            label: ` → ${relative(io.cwd, target)}`,
            ...(jobs.length > files.length && options.target ? { target: options.target } : {}),
          }
          // A log tells of each model as it is done; a terminal has its bars, and the table at the end.
          if (!flags['json'] && !io.isTerminal)
            for (const line of [buildLine(rows[i], { root: io.cwd }), ...details(rows[i], io.cwd)]) io.out(line)
        } catch (error) {
          errors.push({ input: file, error })
        } finally {
          progress.done(file)
        }
      }),
    )
  } finally {
    progress.stop()
    await pipeline.close()
  }
  const done = rows.filter(Boolean)
  const failures = errors.map(({ input, error }) => {
    if (!(error instanceof OnnxError)) throw error
    return { input, error }
  })
  if (flags['json']) {
    const failed = failures.map(({ input, error }) => ({ input, error: error.toJSON() }))
    io.out(JSON.stringify([...buildJson(done), ...failed], undefined, 2))
  } else {
    if (io.isTerminal && done.length > 0) {
      io.out(buildTable(done, { root: io.cwd, color: pc.isColorSupported, maxNotes: 0 }))
      for (const line of new Set(done.flatMap((row) => details(row, io.cwd)))) io.out(line)
    }
    for (const line of noteLines(
      done.map(({ report }) => report),
      'warn',
    ))
      io.err(`warning: ${line}`)
    for (const { error } of failures) io.err(error.message)
  }
  return errors.length > 0 ? EXIT.failed : EXIT.ok
}

/** Adapters that were written, and what was found out by running the model: people who ask for that want to know. */
function details({ report }: ReportRow, cwd: string): string[] {
  const notes = report.notes.filter(({ level, code }) => level === 'info' && /^(mixed|verify|auto|output)\//.test(code))
  const adapters = (report.adapters ?? []).map(
    ({ name, file, bytes, hash }) =>
      `  - adapter "${name}": ${relative(cwd, file)}, ${formatBytes(bytes)}, sha256 ${hash.slice(0, 16)}`,
  )
  return [...adapters, ...notes.map(({ message }) => `  - ${message}`)]
}

/** `sequence64` for variants of several sizes. */
function sizesOf({ frozen = {} }: ResolvedOptions): string[] {
  return Object.entries(frozen).map(([name, size]) => `${name.replace(/[^\w-]+/g, '_')}${size}`)
}

/** Where each result goes. Models of one name keep their folders below the common one; several targets get a folder each. */
function plan(
  files: readonly string[],
  flags: Invocation['flags'],
  cwd: string,
  targetsOf: (file: string) => readonly ResolvedOptions[],
): Job[] {
  const out = resolve(cwd, (flags['out'] as string | undefined) ?? 'optimized')
  const intoFile = out.endsWith('.onnx')
  const huggingFace = flags['emit'] === 'huggingface'
  if (huggingFace && intoFile)
    throw new OnnxError('USAGE', '--emit huggingface writes a folder, not the one file of -o', {
      hint: 'Give the folder of the repository with -o.',
    })
  const common = commonFolder(files.map((file) => dirname(file)))
  const flat = new Set(files.map((file) => basename(file))).size === files.length
  const jobs = files.flatMap((file) => {
    const targets = targetsOf(file)
    return targets.map((options): Job => {
      const folder =
        targets.length > 1 ? join(out, [options.target ?? options.device, ...sizesOf(options)].join('-')) : out
      const name = flat ? basename(file) : relative(common, file)
      return {
        file,
        options,
        target: intoFile ? out : join(folder, huggingFace ? huggingFacePath(name, options) : name),
      }
    })
  })
  if (intoFile && jobs.length > 1)
    throw new OnnxError('USAGE', `${jobs.length} results do not fit into the one file ${out}`, {
      hint: 'Give a folder with -o.',
    })
  return jobs
}

function commonFolder(folders: readonly string[]): string {
  const [first = '', ...rest] = folders.map((folder) => folder.split(sep))
  let length = first.length
  for (const folder of rest) {
    let same = 0
    while (same < length && folder[same] === first[same]) same++
    length = same
  }
  return (first as readonly string[]).slice(0, length).join(sep) || sep
}
