import { copyFile, readFile, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { type EmitFile, type Emitter, folderOf, type Hook, urlPath } from './emitter.ts'

interface Compilation {
  hooks: {
    finishModules: { tap(name: string, run: (modules: Iterable<Module>) => void): void }
    processAssets: { tap(options: { name: string; stage: number }, run: () => void): void }
  }
  getAssetPath(template: unknown, data: object): string
  emitAsset(name: string, source: unknown, info: object): void
  getAsset(name: string): unknown
}

interface Module {
  resource?: string
  originalSource?(): { source(): string | Uint8Array } | null
}

/** What webpack's and Rspack's compilers have in common here. */
export interface AssetCompiler {
  outputPath: string
  outputFileSystem: {
    writeFile(path: string, data: Uint8Array, done: (error?: Error | null) => void): void
  } | null
  options: { output: { assetModuleFilename?: unknown } }
  hooks: {
    thisCompilation: { tap(name: string, run: (compilation: Compilation) => void): void }
    afterEmit: { tapPromise(name: string, run: () => Promise<void>): void }
  }
  webpack: {
    Compilation: { PROCESS_ASSETS_STAGE_ADDITIONAL: number }
    sources: { RawSource: new (text: string) => unknown }
  }
}

/** Stands in a module for a file that it needs, as a comment: bundlers keep modules over builds, and it with them. */
const NOTE = /\/\*! unplugin-onnx ([^ ]+) ([^ ]+) \*\//g

const PLUGIN = 'unplugin-onnx'

/**
 * webpack and Rspack. An asset module would be read and hashed in their process; what is handed to them is a short text
 * in the file's place, and the file is copied after it was written. Which files those are is read off the modules of the
 * compilation: with a warm persistent cache no other hook of ours runs.
 */
export class WebpackAssets {
  /** Files by the name of their asset. */
  readonly #files = new Map<string, string>()
  #compiler: AssetCompiler | undefined

  readonly emitter: Emitter = {
    emit: (hook, files, { together }) => {
      const folder = together ? `onnx/${folderOf(files)}/` : undefined
      return files.map((file) => {
        const name = folder ? folder + file.name : this.#nameOf(hook, file)
        const setup = `/*! unplugin-onnx ${encodeURIComponent(name)} ${encodeURIComponent(file.file)} */`
        const path = JSON.stringify(urlPath(name))
        return { setup, url: `new URL(__webpack_public_path__ + ${path}, __webpack_base_uri__).href` }
      })
    },
  }

  apply(compiler: AssetCompiler): void {
    this.#compiler = compiler
    const { RawSource } = compiler.webpack.sources
    compiler.hooks.thisCompilation.tap(PLUGIN, (compilation) => {
      compilation.hooks.finishModules.tap(PLUGIN, (modules) => {
        this.#files.clear()
        for (const module of modules) this.#collect(module)
      })
      const stage = compiler.webpack.Compilation.PROCESS_ASSETS_STAGE_ADDITIONAL
      compilation.hooks.processAssets.tap({ name: PLUGIN, stage }, () => {
        for (const name of this.#files.keys())
          if (!compilation.getAsset(name))
            compilation.emitAsset(name, new RawSource(standIn(name)), { immutable: true })
      })
    })
    compiler.hooks.afterEmit.tapPromise(PLUGIN, async () => {
      await Promise.all([...this.#files].map(([name, file]) => this.#write(name, file)))
    })
  }

  #nameOf(hook: Hook, { name, hash }: EmitFile): string {
    const { compilation } = hook.getNativeBuildContext!() as unknown as { compilation: Compilation }
    const template = this.#compiler?.options.output.assetModuleFilename
    // Without a template of the user's own, a name that says what the file is.
    if (template === undefined || template === '[hash][ext][query]' || template === '[hash][ext][query][fragment]')
      return `${name.slice(0, -extname(name).length)}-${hash.slice(0, 8)}${extname(name)}`
    return compilation.getAssetPath(template, { filename: name, contentHash: hash, hash })
  }

  #collect(module: Module): void {
    if (!module.resource?.includes('.onnx.js')) return
    const code = module.originalSource?.()?.source() ?? ''
    for (const [, name, file] of String(code).matchAll(NOTE))
      this.#files.set(decodeURIComponent(name!), decodeURIComponent(file!))
  }

  async #write(name: string, file: string): Promise<void> {
    const { outputPath, outputFileSystem } = this.#compiler!
    const target = join(outputPath, name)
    const written = await stat(target).catch(() => undefined)
    if (written?.size === Buffer.byteLength(standIn(name))) {
      await copyFile(file, target)
    } else if (!written && outputFileSystem) {
      // The output of a dev server lies in memory.
      const content = await readFile(file)
      await new Promise<void>((done, failed) =>
        outputFileSystem.writeFile(target, content, (error) => (error ? failed(error) : done())),
      )
    }
  }
}

/** What the bundler writes before the file takes its place. */
function standIn(name: string): string {
  return `unplugin-onnx ${name}`
}
