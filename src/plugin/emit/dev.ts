import { pathToFileURL } from 'node:url'
import type { EmitFile, Emitter } from './emitter.ts'

/** Path prefix, below the server's base, of files that the dev server's middleware answers for. */
export const DEV_PREFIX = '/@unplugin-onnx/'

/** Files by the path that they are served under, without base. */
export type DevFiles = Map<string, EmitFile>

/**
 * Vite's dev server: clients fetch from the middleware, server code reads the file where it is. Nothing is copied.
 *
 * @param base the server's base, ending with `/`
 */
export function devEmitter(server: boolean, base: string, served: DevFiles): Emitter {
  return {
    emit: (_hook, files) =>
      files.map((file) => {
        if (server) return { setup: '', url: JSON.stringify(pathToFileURL(file.file).href) }
        const path = `${DEV_PREFIX}${file.hash.slice(0, 16)}/${encodeURIComponent(file.name)}`
        served.set(path, file)
        return { setup: '', url: JSON.stringify(base.replace(/\/$/, '') + path) }
      }),
  }
}
