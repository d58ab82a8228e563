import { copyFile, readFile } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import type { BuildOptions, PluginBuild } from 'esbuild'
import { OnnxError } from '../../onnx/errors.ts'
import type { EmitFile, Emitter } from './emitter.ts'

/**
 * esbuild: its own `file` loader on the file in the cache, which hashes it, puts it where `assetNames` says and gives the
 * path relative to the chunk that needs it (or behind `publicPath`).
 *
 * @param beside collects files that must come to lie beside an emitted one
 */
export function esbuildEmitter(options: BuildOptions, beside: Map<string, readonly EmitFile[]>): Emitter {
  return {
    emit(_hook, files, { together, local }) {
      if (together) beside.set(files[0]!.file, files.slice(1))
      return files.map(({ file }, i) => {
        if (together && i > 0) return { setup: '', url: '""' }
        const name = local(i)
        const setup = `import ${name} from ${JSON.stringify(isScript(file) ? VERBATIM + file : file)}`
        return { setup: `${setup}\nconst ${name}_url = ${absolute(name, options)}`, url: `${name}_url` }
      })
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
export function configureEsbuild(build: PluginBuild, beside: ReadonlyMap<string, readonly EmitFile[]>): void {
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
    const taken = new Map<string, string>()
    for (const [path, { inputs }] of Object.entries(metafile?.outputs ?? {})) {
      const [source] = Object.keys(inputs)
      for (const { file, name, hash } of beside.get(resolve(root, source ?? '')) ?? []) {
        const target = join(root, dirname(path), name)
        if ((taken.get(target) ?? hash) !== hash)
          throw new OnnxError(
            'EXTERNAL_DATA_CLASH',
            `two models need different files named ${relative(root, target)}`,
            {
              hint: 'Rename the external data of one of them: its name is written inside of the model.',
            },
          )
        taken.set(target, hash)
        if (options.write === false) outputFiles?.push({ path: target, contents: await readFile(file), hash, text: '' })
        else await copyFile(file, target)
      }
    }
  })
}
