import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

/**
 * Where the cache lives by default: `node_modules/.cache/unplugin-onnx` of the package that holds `root`, as other build
 * tools do, so that CI recipes that keep `node_modules/.cache` keep it too.
 */
export function defaultCacheFolder(root: string): string {
  let folder = resolve(root)
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder)
    if (parent === folder) return join(resolve(root), 'node_modules/.cache/unplugin-onnx')
    folder = parent
  }
  return join(folder, 'node_modules/.cache/unplugin-onnx')
}
