import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join, relative, resolve, sep } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { escapePath, glob } from 'tinyglobby'
import { bySize, unfrozen } from '../codegen/frozen.ts'
import { importedNames } from '../codegen/imports.ts'
import { generateTypes, type TypesEntry } from '../codegen/types.ts'
import { writeIfChanged } from '../codegen/write.ts'
import type { ModelInfo } from '../pipeline/index.ts'
import type { Models } from './models.ts'

const BLOCK = /^declare module '(.+)' \{\n[\s\S]*?^\}\n/gm

/** Where the types go: undefined where nobody wants them. */
function typesFile({ options, root }: Models): string | undefined {
  const { dts = existsSync(join(root, 'tsconfig.json')) } = options
  return dts ? resolve(root, dts === true ? 'onnx-models.d.ts' : dts) : undefined
}

/**
 * Writes the types of all imports that were built, if they changed. Types that the file has of other imports stay while the
 * sources name them: a dev server sees modules one by one, and an app may have several builds.
 *
 * @returns what could not be told apart by types, in words for the user
 */
export async function writeTypes(models: Models): Promise<string[]> {
  const file = typesFile(models)
  if (!file || models.built.size === 0) return []
  const { code, warnings } = generateTypes(typesEntries(models))
  const old = await readFile(file, 'utf8').catch(() => '')
  // A file outside of the root is shared by several apps, whose models lie elsewhere too.
  const isOwn = !relative(models.root, file).startsWith('..')
  const kept = isOwn ? await withoutUnused(await withoutGone(old, models.root), code, models.root) : old
  await writeIfChanged(file, mergeBlocks(kept, code))
  return warnings
}

/** One entry for each import; environments that see the same model differently are variants of it. */
function typesEntries(models: Models): TypesEntry[] {
  const entries = new Map<
    string,
    TypesEntry & { variants: { target: string; info: ModelInfo; adapters?: string[] }[] }
  >()
  for (const { id, as, variants } of models.built.values()) {
    const file = relative(models.root, id.file).split(sep).join('/')
    const key = `${file}?${id.query}`
    const entry = entries.get(key) ?? { file, query: id.query, as, variants: [] }
    entries.set(key, entry)
    for (const group of bySize(
      variants.map((one) => ({ ...one, target: one.options.target ?? one.options.device, frozen: one.options.frozen })),
    )) {
      const { options, artifact } = group[0]!
      const sizes = group.flatMap((one) => (one.frozen ? [{ info: one.artifact.info, frozen: one.frozen }] : []))
      const info = sizes.length > 1 ? unfrozen(sizes) : artifact.info
      const adapters = artifact.adapters.map(({ adapter }) => adapter)
      const seen =
        variants.length === 1 &&
        entry.variants.some((one) => isDeepStrictEqual([one.info, one.adapters ?? []], [info, adapters]))
      if (!seen)
        entry.variants.push({
          target: options.target ?? options.device,
          info,
          ...(adapters.length ? { adapters } : {}),
        })
    }
  }
  return [...entries.values()]
}

/** The declarations whose model is still somewhere in the project. */
export async function withoutGone(old: string, root: string): Promise<string> {
  const names = [...old.matchAll(BLOCK)].flatMap(([, pattern]) => modelOf(pattern!) ?? [])
  if (!names.length) return old
  const patterns = [...new Set(names)].map((name) => `**/${escapePath(name)}`)
  const found = await glob(patterns, { cwd: root, ignore: ['**/node_modules/**', '**/.git/**'], dot: true })
  const isThere = (name: string) => found.some((path) => `/${path}`.endsWith(`/${name}`))
  return old.replace(BLOCK, (block, pattern: string) => {
    const name = modelOf(pattern)
    return name === undefined || isThere(name) ? block : ''
  })
}

/** The declarations of imports that this build has, or that stand somewhere in the sources: another app or build may have them. */
export async function withoutUnused(old: string, code: string, root: string): Promise<string> {
  const present = new Set([...code.matchAll(BLOCK)].map(([, pattern]) => pattern!))
  const isOther = (pattern: string) => modelOf(pattern) !== undefined && !present.has(pattern)
  if (![...old.matchAll(BLOCK)].some(([, pattern]) => isOther(pattern!))) return old
  const names = await importedNames(root)
  return old.replace(BLOCK, (block, pattern: string) =>
    isOther(pattern) && !names.has(pattern.slice(pattern.lastIndexOf('/', pattern.indexOf('.onnx')) + 1)) ? '' : block,
  )
}

/** The end of the path of the model that a declaration is for; undefined for generic ones. */
function modelOf(pattern: string): string | undefined {
  return pattern.startsWith('*/') ? pattern.slice(2).split('?')[0] : undefined
}

/** `code` with those declarations of `old` added that it lacks, in the order that {@link generateTypes} gives them. */
export function mergeBlocks(old: string, code: string): string {
  const isGeneric = (pattern: string) => !pattern.startsWith('*/')
  const blocks = new Map<string, string>()
  for (const text of [old, code]) for (const [block, pattern] of text.matchAll(BLOCK)) blocks.set(pattern!, block)
  const depth = (pattern: string) => pattern.split('?')[0]!.split('/').length
  const specific = [...blocks]
    .filter(([pattern]) => !isGeneric(pattern))
    .sort(([a], [b]) => depth(b) - depth(a) || (a < b ? -1 : 1))
  const header = code.slice(0, code.search(BLOCK))
  const generic = [...code.matchAll(BLOCK)].flatMap(([block, pattern]) => (isGeneric(pattern!) ? [block] : []))
  return header + [...specific.map(([, block]) => block), ...generic].join('\n')
}
