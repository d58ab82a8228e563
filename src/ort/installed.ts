import { createRequire } from 'node:module'
import type * as Ort from 'onnxruntime-node'

/**
 * The installed onnxruntime-node. It is CommonJS: `import` would look through all its files for names first. Its JavaScript is many
 * small files, so in the programs that start again and again the build puts one with all of them in the place of this file.
 */
export function installedOrt(): typeof Ort {
  return createRequire(import.meta.url)('onnxruntime-node')
}
