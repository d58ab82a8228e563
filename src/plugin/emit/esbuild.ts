import { copyFile, mkdir, readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { BuildOptions, OutputFile, PluginBuild } from 'esbuild'
import { EMITTED } from '../id.ts'
import { type Beside, type EmitFile, type EmittedUrl, type Emitter, setBeside, URL_CHARACTERS } from './emitter.ts'

/**
 * esbuild: its own `file` loader hashes a file, puts it where `assetNames` says and gives the path relative to the chunk that
 * needs it (or behind `publicPath`). What it is handed is a short text in the file's place; the file is copied after that
 * was written.
 */
export class EsbuildAssets {
  readonly #files = new Map<string, EmitFile>()
  /** Sets of files that keep their names, by the hash of the model that shows where assets are. */
  readonly #sets = new Map<string, Beside>()

  emitter(options: BuildOptions): Emitter {
    const emit = (file: EmitFile, name: string): EmittedUrl => {
      this.#files.set(file.file, file)
      const setup = `import ${name} from ${JSON.stringify(`${EMITTED}:${file.file}`)}`
      const isOdd = basename(file.file).search(URL_CHARACTERS) >= 0
      return { setup: `${setup}\nconst ${name}_url = ${absolute(name, options, isOdd)}`, url: `${name}_url` }
    }
    return {
      emit: (_hook, files, { together, local }) => {
        if (!together) return files.map((file, i) => emit(file, local(i)))
        const [model] = files
        const beside = this.#sets.get(model!.hash) ?? new Map<string, EmitFile>()
        this.#sets.set(model!.hash, beside)
        const { setup, url } = emit(model!, local(0))
        return setBeside(files, url, beside).map((one, i) => ({ setup: i === 0 ? setup : '', url: one }))
      },
    }
  }

  apply(build: PluginBuild): void {
    const options = build.initialOptions
    options.metafile = true
    build.onResolve({ filter: new RegExp(`^${EMITTED}:`) }, ({ path }) => ({
      path: path.slice(EMITTED.length + 1),
      namespace: EMITTED,
    }))
    build.onLoad({ filter: /./, namespace: EMITTED }, ({ path }) => ({
      contents: `unplugin-onnx ${this.#files.get(path)!.hash}`,
      loader: 'file',
    }))
    build.onEnd(async ({ metafile, outputFiles }) => {
      const root = options.absWorkingDir ?? process.cwd()
      for (const [path, { inputs }] of Object.entries(metafile?.outputs ?? {})) {
        const file = /\.[cm]?js\.map$/.test(path) ? undefined : this.#emitted(Object.keys(inputs))
        if (!file) continue
        const target = join(root, path)
        await put(file, target, outputFiles)
        for (const [name, one] of this.#sets.get(file.hash) ?? [])
          await put(one, join(dirname(target), name), outputFiles)
      }
    })
  }

  /** The file that an output is, if it is one of ours; code that refers to it has other inputs besides. */
  #emitted(inputs: readonly string[]): EmitFile | undefined {
    const [input] = inputs
    return inputs.length === 1 && input!.startsWith(`${EMITTED}:`)
      ? this.#files.get(input!.slice(EMITTED.length + 1))
      : undefined
  }
}

/** Writes a file to the output, or to the list of outputs where esbuild was told not to write. */
async function put({ file, hash }: EmitFile, target: string, outputFiles: OutputFile[] | undefined): Promise<void> {
  if (!outputFiles) {
    await mkdir(dirname(target), { recursive: true })
    await copyFile(file, target)
    return
  }
  const given = outputFiles.findIndex(({ path }) => path === target)
  const output = { path: target, contents: new Uint8Array(await readFile(file)), hash, text: '' }
  if (given < 0) outputFiles.push(output)
  else outputFiles[given] = output
}

/**
 * An expression for the absolute URL of a path that is relative to the file that it runs in.
 *
 * @param isOdd the name of the file holds what has a meaning in URLs
 */
function absolute(path: string, { format, platform }: BuildOptions, isOdd: boolean): string {
  const escaped = isOdd ? `${path}.replace(${URL_CHARACTERS}, encodeURIComponent)` : path
  if (format === 'esm' || (!format && platform === 'neutral')) return `new URL(${escaped}, import.meta.url).href`
  if (platform === 'node' || platform === 'neutral' || format === 'cjs')
    return `require('node:url').pathToFileURL(require('node:path').resolve(__dirname, ${path})).href`
  return `new URL(${escaped}, document.currentScript?.src || document.baseURI).href`
}
