import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, relative, resolve, sep } from 'node:path'
import { glob } from 'tinyglobby'

/** One import of a model in the sources. */
export interface ModelImport {
  /** The model's absolute path. */
  file: string
  /** The query as written, without `?`. */
  query: string
  importSite: string
}

export interface FoundImports {
  imports: ModelImport[]
  /** Imports whose model was not found, in words for the user. */
  problems: string[]
}

const SOURCES = '**/*.{js,jsx,mjs,cjs,ts,tsx,mts,cts,vue,svelte,astro}'
const IGNORED = ['**/node_modules/**', '**/dist/**', '**/.*/**', '**/*.d.ts']
const IMPORT =
  /(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\s*\(\s*|\bnew\s+URL\s*\(\s*)(['"`])((?:(?!\1)[^\n])*?\.onnx)(?:\?([^'"`\n]*))?\1/g

/** `https:` and the like: no model of the project. One letter is a drive. */
const URL_SCHEME = /^[a-z][a-z\d+.-]+:/i

/**
 * Finds the models that the sources import by a literal specifier. Relative and root-relative specifiers are taken as they
 * are; for aliases the project's one model whose path ends in the same way.
 *
 * @param patterns globs of the sources; default: all JavaScript, TypeScript and single-file components
 */
export async function findImports(root: string, patterns: readonly string[]): Promise<FoundImports> {
  const options = { cwd: root, absolute: true, ignore: IGNORED }
  const sources = (await glob(patterns.length ? [...patterns] : SOURCES, options)).sort()
  const found = new Map<string, ModelImport>()
  const problems: string[] = []
  let models: string[] | undefined
  for (const source of sources) {
    const importSite = relative(root, source)
    for (const { specifier, query } of modelSpecifiers(await readFile(source, 'utf8'))) {
      models ??= await glob('**/*.onnx', { ...options, ignore: ['**/node_modules/**', '**/dist/**'] })
      const file = locate(specifier, source, root, models)
      if (file) found.set(`${file}?${query}`, { file, query, importSite })
      else problems.push(`${importSite} imports '${specifier}', which is not in the project`)
    }
  }
  return { imports: [...found.values()], problems }
}

/** Base name and query of all models that the sources name, as `bert.onnx?dtype=q8`. */
export async function importedNames(root: string): Promise<Set<string>> {
  const sources = await glob(SOURCES, { cwd: root, absolute: true, ignore: IGNORED })
  const texts = await Promise.all(sources.map((source) => readFile(source, 'utf8')))
  return new Set(
    texts.flatMap(modelSpecifiers).map(({ specifier, query }) => `${basename(specifier)}${query && `?${query}`}`),
  )
}

/** Specifiers of models in a source text, as they are imported, required or put into `new URL`. */
export function modelSpecifiers(code: string): { specifier: string; query: string }[] {
  if (!code.includes('.onnx')) return []
  return [...code.matchAll(IMPORT)]
    .map(([, , specifier, query = '']) => ({ specifier: specifier!, query }))
    .filter(({ specifier }) => !URL_SCHEME.test(specifier))
}

function locate(specifier: string, source: string, root: string, models: readonly string[]): string | undefined {
  const among = (path: string) => models.find((model) => resolve(model) === path)
  if (specifier.startsWith('.')) return among(resolve(dirname(source), specifier))
  if (specifier.startsWith('/'))
    return among(resolve(root, `.${specifier}`)) ?? among(resolve(root, `public${specifier}`))
  const installed = inPackage(specifier, source)
  if (installed) return installed
  // An alias: its head stands for a folder that only the bundler knows.
  const tail = specifier.split('/').slice(1).join('/') || basename(specifier)
  const fits = models.filter((model) => `/${relative(root, model).split(sep).join('/')}`.endsWith(`/${tail}`))
  return fits.length === 1 ? resolve(fits[0]!) : undefined
}

/** The file of an installed package that a bare specifier names. */
function inPackage(specifier: string, source: string): string | undefined {
  try {
    return createRequire(source).resolve(specifier)
  } catch {
    return undefined
  }
}
