import { copyFile, mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { viteEnvironment } from '../environment.ts'
import type { Hook } from './emitter.ts'

interface OutputHook extends Hook {
  getFileName(reference: string): string
}

/**
 * What Vite's builds for servers emit. Vite drops all assets of such builds, because pictures and styles lie in the client's
 * output; a server needs its model, so models alone are put beside its code again.
 */
export class ServerAssets {
  /** Files by reference, for each environment. */
  readonly #references = new Map<string, Map<string, string>>()
  readonly #names = new Map<string, Map<string, string>>()

  readonly emitted = (hook: Hook, reference: string, file: string): void => {
    const { name, config } = viteEnvironment(hook) ?? {}
    if (!name || config?.consumer !== 'server') return
    const references = this.#references.get(name) ?? new Map<string, string>()
    this.#references.set(name, references.set(reference, file))
  }

  /** True for an asset of a server build that is ours. */
  has(hook: OutputHook, fileName: string): boolean {
    return this.#namesOf(hook).has(fileName)
  }

  /** Learns the names while the assets are still there. */
  readonly generateBundle: (this: unknown) => void
  readonly writeBundle: (this: unknown, options: { dir?: string | undefined }) => Promise<void>

  constructor() {
    const assets = this
    this.generateBundle = function () {
      const hook = this as OutputHook
      assets.#names.set(viteEnvironment(hook)?.name ?? '', assets.#namesOf(hook))
    }
    this.writeBundle = async function ({ dir }) {
      const names = assets.#names.get(viteEnvironment(this as Hook)?.name ?? '') ?? new Map<string, string>()
      for (const [name, file] of dir ? names : []) {
        const target = join(dir!, name)
        await mkdir(dirname(target), { recursive: true })
        await copyFile(file, target)
      }
    }
  }

  #namesOf(hook: OutputHook): Map<string, string> {
    const references = this.#references.get(viteEnvironment(hook)?.name ?? '') ?? new Map<string, string>()
    return new Map([...references].map(([reference, file]) => [hook.getFileName(reference), file]))
  }
}
