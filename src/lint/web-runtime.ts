import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** Tables of kernels that `onnxruntime-web` ships, by device. */
const FILES: Readonly<Record<string, string>> = {
  webgpu: 'webgpu-operators.md',
  webnn: 'webnn-operators.md',
}

/** The installed `onnxruntime-web`, for a device that it has a table of kernels for. */
export interface WebKernels {
  version: string
  /** The file of the table. */
  file: string
}

/**
 * The `onnxruntime-web` of a project, or else that beside this package.
 *
 * @param from a folder of the project
 * @returns undefined where it is not installed, or has nothing to say about the device
 */
export function installedKernels(device: string, from: string): WebKernels | undefined {
  const name = FILES[device]
  if (!name) return undefined
  for (const base of [join(from, 'package.json'), import.meta.url]) {
    try {
      let folder = dirname(createRequire(base).resolve('onnxruntime-web'))
      for (; folder !== dirname(folder); folder = dirname(folder)) {
        const file = join(folder, 'docs', name)
        if (!existsSync(file)) continue
        const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string }
        return { version, file }
      }
    } catch {
      // Not installed here: look from the next place.
    }
  }
  return undefined
}
