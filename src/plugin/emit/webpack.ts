import { readdirSync } from 'node:fs'
import { basename, dirname, sep } from 'node:path'

import { cut } from '../id.ts'
import type { Emitter } from './emitter.ts'

/**
 * webpack and Rspack: an asset module made of the file in the cache. Unlike `emitFile`, it is part of the module graph and
 * so survives a warm persistent cache.
 */
export const webpackEmitter: Emitter = {
  emit: (_hook, files) =>
    files.map(({ file }) => ({ setup: '', url: `new URL(${JSON.stringify(file)}, import.meta.url).href` })),
}

/** The parts of a webpack or Rspack compiler's options that are set here. */
interface CompilerOptions {
  output: { assetModuleFilename?: unknown }
  module: { rules: unknown[] }
}

/**
 * Names the assets that come from `cacheFolder`: `[name]-[contenthash][ext]` where the user has no template of their own,
 * and models with external data in a folder of their own, since ONNX Runtime looks for the data beside the model.
 * Everything is read off the path: with a warm cache no hook of ours runs.
 */
export function nameAssets(options: CompilerOptions, cacheFolder: string): void {
  const own = options.output.assetModuleFilename
  options.module.rules.push({
    test: (path: string) => path.startsWith(cacheFolder + sep),
    type: 'asset/resource',
    generator: {
      filename: (data: { filename?: string; module?: { resource?: string } }) => {
        const file = data.module?.resource ?? cut(data.filename ?? '', '?')[0]
        const folder = dirname(file)
        const others = readdirSync(folder).filter((name) => name !== basename(file) && name !== 'artifact.json')
        if (others.length) return `onnx/${basename(folder).slice(0, 16)}/[name][ext]`
        return typeof own === 'function' ? own(data) : (own ?? '[name]-[contenthash:8][ext]')
      },
    },
  })
}
