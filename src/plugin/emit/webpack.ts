import { readdirSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'

import { SIDECAR } from '../../pipeline/index.ts'
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

/** The parts of a webpack or Rspack compiler that matter here. */
interface Compiler {
  context: string
  options: { output: { assetModuleFilename?: unknown }; module: { rules: unknown[] } }
}

/**
 * Names the assets that come from the cache: `[name]-[contenthash][ext]` where the user has no template of their own,
 * and models with external data in a folder of their own, since ONNX Runtime looks for the data beside the model.
 * Everything is read off the path: with a warm cache no hook of ours runs.
 */
export function nameAssets({ options, context }: Compiler, isArtifact: (file: string) => boolean): void {
  const own = options.output.assetModuleFilename
  options.module.rules.push({
    test: isArtifact,
    type: 'asset/resource',
    generator: {
      filename: (data: { filename?: string; module?: { resource?: string } }) => {
        const file = resolve(context, cut(data.module?.resource ?? data.filename ?? '', '?')[0])
        const folder = dirname(file)
        const others = readdirSync(folder).filter((name) => name !== basename(file) && name !== SIDECAR)
        if (others.length) return `onnx/${basename(folder).slice(0, 16)}/[name][ext]`
        return typeof own === 'function' ? own(data) : (own ?? '[name]-[contenthash:8][ext]')
      },
    },
  })
}
