import { existsSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { OnnxError } from '../onnx/errors.ts'
import type { Note } from '../passes/pass.ts'
import { copy } from './copy.ts'
import { mkdir, realpath, remove, rename } from './quick-files.ts'
import type { Artifact } from './types.ts'

/** Settings of `deliver`. */
export interface DeliverOptions {
  /** Data files that this run has written already: others get a name of their own. */
  taken?: Set<string>
  /** Name data files after the model in any case. */
  ownData?: boolean
  /** Told of a data file that the replaced model named, which nothing seems to need any more, but which may not be ours to remove. */
  onLeft?: ((file: string) => void) | undefined
}

/**
 * Copies an artifact out of the cache to `target`, its data files beside it. Each file appears whole, the model last, so
 * that a model that is there has its data.
 *
 * Under another name than its source the model gets data files named after it (`<target>_data`), as several variants of
 * one model are kept in one folder. Adapters and a tokenizer keep what follows the model's name in theirs.
 *
 * Data files of the model that is replaced, if there is one, go with it.
 *
 * @returns absolute paths of the files, the model first
 * @throws OnnxError `OUTPUT_IS_INPUT` if a source would be overwritten, `OUTPUT_UNWRITABLE`
 */
export async function deliver(
  artifact: Artifact,
  target: string,
  { taken = new Set(), ownData = false, onLeft }: DeliverOptions = {},
): Promise<string[]> {
  const folder = dirname(target)
  const name = target.slice(folder.length).replace(/^[\\/]/, '')
  const renamed =
    ownData || name !== artifact.model.name || artifact.external.some((data) => taken.has(resolve(folder, data.name)))
  const locations = new Map(
    artifact.external.map((data, i) => [data.name, renamed ? `${name}_data${i ? `_${i}` : ''}` : data.name]),
  )
  const stem = (file: string): string => file.replace(/\.onnx$/, '')
  const others = [...artifact.adapters, ...(artifact.tokenizer ? [artifact.tokenizer] : [])]
  const adapters = others.map((adapter) =>
    join(
      folder,
      adapter.name.replace(stem(artifact.model.name), () => stem(name)),
    ),
  )
  const [first] = artifact.adapters
  if (first?.location) locations.set(first.location, basename(adapters[0]!))
  const outputs = [target, ...artifact.external.map((data) => join(folder, locations.get(data.name)!)), ...adapters]
  await refuseSources(outputs, artifact.sources)
  // Rare, too.
  const orphans = existsSync(target) ? await import('./orphans.ts') : undefined
  const before = (await orphans?.dataBeside(target)) ?? []
  const temporary: string[] = []
  try {
    const moves: [string, string][] = []
    for (const [i, data] of artifact.external.entries()) {
      moves.push([await stage(outputs[i + 1]!, temporary, (file) => copy(data.file, file)), outputs[i + 1]!])
    }
    for (const [i, adapter] of others.entries()) {
      moves.push([await stage(adapters[i]!, temporary, (file) => copy(adapter.file, file)), adapters[i]!])
    }
    const model = await stage(target, temporary, (file) =>
      renamed && locations.size
        ? // Rare, and the file format takes a while to load.
          import('./relocate.ts').then(({ relocate }) => relocate(artifact.model.file, file, locations))
        : copy(artifact.model.file, file),
    )
    for (const [from, to] of [...moves, [model, target] as const]) await rename(from, to)
    for (const output of outputs) taken.add(resolve(output))
    if (before.length > 0) {
      const sources = await Promise.all(artifact.sources.map((source) => realpath(source).catch(() => resolve(source))))
      const left = await orphans!.removeOrphans(target, before, new Set([...taken, ...sources]))
      for (const file of left) onLeft?.(file)
    }
  } catch (error) {
    if (error instanceof OnnxError) throw error
    const isFolder = (error as NodeJS.ErrnoException).code === 'EISDIR'
    const why = isFolder ? 'there is a folder of this name' : (error as Error).message
    throw new OnnxError('OUTPUT_UNWRITABLE', `cannot write the result: ${why}`, {
      place: { file: target },
      hint: isFolder ? 'Name a file in it.' : 'Is there room on the disk, and may the folder be written?',
      cause: error,
    })
  } finally {
    await Promise.all(temporary.map((file) => remove(file)))
  }
  return outputs.map((output) => resolve(output))
}

/** What to tell of a file that was left. */
export function leftNote(file: string): Note {
  const message = `${file} is left: the model that was replaced had its data there, and nothing seems to need it any more`
  return { level: 'info', code: 'output/left', message }
}

async function stage(target: string, temporary: string[], write: (file: string) => unknown): Promise<string> {
  await mkdir(dirname(target), { recursive: true })
  const file = `${target}.${process.pid}.${Math.random().toString(36).slice(2)}.tmp`
  temporary.push(file)
  await write(file)
  return file
}

async function refuseSources(outputs: readonly string[], sources: readonly string[]): Promise<void> {
  const real = (path: string) => realpath(path).catch(() => resolve(path))
  const inputs = new Set(await Promise.all(sources.map(real)))
  for (const output of outputs)
    if (inputs.has(await real(output)))
      throw new OnnxError('OUTPUT_IS_INPUT', 'the result would overwrite its own source', {
        place: { file: output },
        hint: 'Choose another folder with -o.',
      })
}
