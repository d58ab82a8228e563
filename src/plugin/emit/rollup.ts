import { copyFile, mkdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { viteEnvironment } from '../environment.ts'
import { type EmitFile, type Emitter, folderOf, type Hook } from './emitter.ts'

/** The part of Rollup's plugin context that unplugin does not declare. */
export interface RollupHook extends Omit<Hook, 'emitFile'> {
  emitFile(asset: { type: 'asset'; name?: string; fileName?: string; source: string }): string
  getFileName(reference: string): string
}

interface OutputOptions {
  dir?: string | undefined
  file?: string | undefined
}

type Bundle = Record<string, { type: string; source?: unknown }>

/**
 * Vite (builds), Rollup and Rolldown: they name and de-duplicate assets and know the URL. What they are handed is not the
 * file but a short text in its place, one per content; the file is copied when the output is written, so that weights are
 * never read into the bundler's process.
 */
export class RollupAssets {
  /** Files by reference, for each environment of Vite. */
  readonly #references = new Map<string, Map<string, EmitFile>>()

  /** @param assetsFolder where files go that must keep their names */
  emitter(assetsFolder: (hook: Hook) => string): Emitter {
    return {
      emit: (hook, files, { together }) => {
        const folder = together ? [assetsFolder(hook), folderOf(files)].filter(Boolean).join('/') : ''
        return files.map((file) => {
          const name = together ? { fileName: `${folder}/${file.name}` } : { name: file.name }
          const reference = (hook as unknown as RollupHook).emitFile({ type: 'asset', source: standIn(file), ...name })
          this.#of(hook).set(reference, file)
          return { setup: '', url: `import.meta.ROLLUP_FILE_URL_${reference}` }
        })
      },
    }
  }

  /** True for an asset that was emitted here. */
  has(hook: RollupHook, fileName: string): boolean {
    return this.#named(hook).has(fileName)
  }

  /**
   * After all other plugins have seen the assets: takes those out that are to be copied, so that neither the text is written
   * nor its size reported. Where nothing is written the file takes the text's place.
   */
  async generateBundle(hook: RollupHook, bundle: Bundle, isWrite: boolean): Promise<void> {
    const named = this.#named(hook)
    for (const name of Object.keys(bundle))
      if (name.endsWith('.onnx') && !named.has(name) && !handedOver.has(name))
        hook.warn(
          `${name} is shipped as it is: it was named in a way that no plugin saw. In a component, put this plugin after the one that compiles it.`,
        )
    for (const [name, file] of named) {
      const asset = bundle[name]
      if (asset?.source !== standIn(file)) continue
      if (isWrite) delete bundle[name]
      else {
        asset.source = await readFile(file.file)
        handedOver.add(name)
      }
    }
  }

  /**
   * Copies the files. In builds for servers too: there Vite drops all assets, because pictures and styles lie in the
   * client's output, but a server needs its model beside its code.
   */
  async writeBundle(hook: RollupHook, { dir, file: output }: OutputOptions, bundle: Bundle): Promise<void> {
    const folder = dir ?? (output && dirname(output))
    for (const [name, { file }] of folder ? this.#named(hook) : []) {
      // A name that is still in the bundle is now that of another plugin's asset.
      if (bundle[name]) continue
      const target = join(folder!, name)
      await mkdir(dirname(target), { recursive: true })
      await copyFile(file, target)
    }
  }

  #of(hook: unknown): Map<string, EmitFile> {
    const name = viteEnvironment(hook as Hook)?.name ?? ''
    const references = this.#references.get(name) ?? new Map<string, EmitFile>()
    this.#references.set(name, references)
    return references
  }

  /** Files by their names in the output at hand. References of earlier builds in watch mode have none. */
  #named(hook: RollupHook): Map<string, EmitFile> {
    const named = new Map<string, EmitFile>()
    for (const [reference, file] of this.#of(hook)) {
      try {
        named.set(hook.getFileName(reference), file)
      } catch {}
    }
    return named
  }
}

/** Assets of bundles that were not written: Vite makes those of web workers assets of the page, whose plugin is another. */
const handedOver = new Set<string>()

/** What the bundler holds instead of the file: its hash decides the hash in the name. */
function standIn({ hash }: EmitFile): string {
  return `unplugin-onnx ${hash}`
}
