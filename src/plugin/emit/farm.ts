import { copyFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { OnnxError } from '../../onnx/errors.ts'
import type { EmitFile, Emitter } from './emitter.ts'

/** The part of Farm's configuration that matters here. */
export interface FarmConfig {
  root?: string
  compilation?: {
    output?: { path?: string; targetEnv?: string; assetsFilename?: string }
    assets?: { include?: string[] }
  }
}

/**
 * Farm: an import of the file in the cache, which its static assets plugin hashes and copies. Its `emitFile` takes an array
 * with a JavaScript number per byte.
 *
 * @param server whether the output runs in Node: there the import gives a path, in a browser a URL
 * @param beside collects files that must come to lie beside an emitted one
 */
export function farmEmitter(server: () => boolean, beside: Map<string, EmitFile>): Emitter {
  return {
    emit(_hook, files, { together, local }) {
      return files.map((file, i) => {
        if (together && i > 0) {
          const clash = [...beside.values()].find(({ name, hash }) => name === file.name && hash !== file.hash)
          if (clash)
            throw new OnnxError('EXTERNAL_DATA_CLASH', `two models need different files named ${file.name}`, {
              hint: 'Rename the external data of one of them: its name is written inside of the model.',
            })
          beside.set(file.file, file)
          return { setup: '', url: '""' }
        }
        const name = local(i)
        const setup = `import ${name} from ${JSON.stringify(file.file)}`
        if (!server()) return { setup, url: `new URL(${name}, location.href).href` }
        return {
          setup: `import { pathToFileURL as ${name}_href } from 'node:url'\n${setup}`,
          url: `${name}_href(${name}).href`,
        }
      })
    },
  }
}

/** Makes models and ONNX Runtime's wasm assets for Farm. */
export function configureFarm(config: FarmConfig): FarmConfig {
  config.compilation ??= {}
  config.compilation.assets ??= {}
  config.compilation.assets.include = [...(config.compilation.assets.include ?? []), 'onnx', 'wasm']
  return config
}

/** Puts external data beside the models that were emitted. */
export async function placeBeside(config: FarmConfig, beside: ReadonlyMap<string, EmitFile>): Promise<void> {
  const { path = 'dist', assetsFilename = '' } = config.compilation?.output ?? {}
  const folder = resolve(config.root ?? '.', path, dirname(assetsFilename))
  for (const { file, name } of beside.values()) await copyFile(file, join(folder, name))
}
