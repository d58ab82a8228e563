import { existsSync, realpathSync } from 'node:fs'
import { copyFile, mkdir, readFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import type { BuildOptions, PluginBuild } from 'esbuild'
import { type Beside, type EmitFile, type EmittedUrl, type Emitter, setBeside } from './emitter.ts'

/** Sets of files that keep their names, by the hash of the model that esbuild emits to show where. */
export type EsbuildSets = Map<string, Beside>

/**
 * esbuild: its own `file` loader on the file in the cache, which hashes it, puts it where `assetNames` says and gives the
 * path relative to the chunk that needs it (or behind `publicPath`).
 */
export function esbuildEmitter(options: BuildOptions, sets: EsbuildSets): Emitter {
  const emit = ({ file }: EmitFile, name: string): EmittedUrl => {
    const setup = `import ${name} from ${JSON.stringify(isScript(file) ? VERBATIM + file : file)}`
    return { setup: `${setup}\nconst ${name}_url = ${absolute(name, options)}`, url: `${name}_url` }
  }
  return {
    emit(_hook, files, { together, local }) {
      if (!together) return files.map((file, i) => emit(file, local(i)))
      const [model] = files
      const beside = sets.get(model!.hash) ?? new Map<string, EmitFile>()
      sets.set(model!.hash, beside)
      const { setup, url } = emit(model!, local(0))
      return setBeside(files, url, beside).map((one, i) => ({ setup: i === 0 ? setup : '', url: one }))
    },
  }
}

/** Before the path of a script that has to come out as a file instead of being bundled. */
const VERBATIM = 'unplugin-onnx-file:'

const isScript = (file: string): boolean => /\.m?js$/.test(file)

/** An expression for the absolute URL of a path that is relative to the file that it runs in. */
function absolute(path: string, { format, platform }: BuildOptions): string {
  if (format === 'esm' || (!format && platform === 'neutral')) return `new URL(${path}, import.meta.url).href`
  if (platform === 'node' || platform === 'neutral' || format === 'cjs')
    return `require('node:url').pathToFileURL(require('node:path').resolve(__dirname, ${path})).href`
  return `new URL(${path}, document.currentScript?.src || document.baseURI).href`
}

/** Prepares esbuild for {@link esbuildEmitter}. */
export function configureEsbuild(build: PluginBuild, sets: EsbuildSets): void {
  const options = build.initialOptions
  options.loader = { ...options.loader, '.onnx': 'file', '.wasm': options.loader?.['.wasm'] ?? 'file' }
  options.metafile = true
  build.onResolve({ filter: new RegExp(`^${VERBATIM}`) }, ({ path }) => ({
    path: path.slice(VERBATIM.length),
    namespace: VERBATIM,
  }))
  build.onLoad({ filter: /./, namespace: VERBATIM }, async ({ path }) => ({
    contents: await readFile(path),
    loader: 'file',
  }))
  build.onEnd(async ({ metafile, outputFiles }) => {
    const root = options.absWorkingDir ?? process.cwd()
    for (const beside of sets.size ? sets.values() : []) {
      const models = [...beside.values()].map(({ file }) => relativeTo(root, file))
      const output = Object.entries(metafile?.outputs ?? {}).find(([path, { inputs }]) =>
        Object.keys(inputs).some(
          (input) => !/\.[cm]?js$/.test(path) && models.includes(relativeTo(root, join(root, input))),
        ),
      )
      for (const [path, { file, hash }] of output ? beside : []) {
        const target = join(root, dirname(output![0]), path)
        if (options.write === false) {
          outputFiles?.push({ path: target, contents: await readFile(file), hash, text: '' })
          continue
        }
        await mkdir(dirname(target), { recursive: true })
        await copyFile(file, target)
      }
    }
  })
}

/** esbuild names its inputs by their real paths. */
function relativeTo(root: string, file: string): string {
  return relative(root, existsSync(file) ? realpathSync(file) : file)
}
