import { copyFile, mkdir } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { OnnxError } from '../../onnx/errors.ts'
import type { EmitFile, EmittedUrl, Emitter } from './emitter.ts'

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
  const keepName = (file: EmitFile): void => {
    const clash = [...beside.values()].find(({ name, hash }) => name === file.name && hash !== file.hash)
    if (clash)
      throw new OnnxError('EXTERNAL_DATA_CLASH', `two models need different files named ${file.name}`, {
        hint: 'Rename the external data of one of them: its name is written inside of the model.',
      })
    beside.set(file.file, file)
  }
  return {
    emit(_hook, files, { together, local }) {
      const urls: EmittedUrl[] = []
      // Scripts come last: their URL is told from the one of a file that Farm itself emitted.
      for (const [i, file] of files.entries()) {
        const name = local(i)
        if (together && i > 0) {
          keepName(file)
          urls.push({ setup: '', url: '""' })
        } else if (/\.m?js$/.test(file.name)) {
          const hashed = file.name.replace(/(?=\.m?js$)/, `-${file.hash.slice(0, 8)}`)
          keepName({ ...file, name: hashed })
          urls.push({ setup: '', url: `new URL(${JSON.stringify(hashed)}, ${local(files.length - 1)}_url).href` })
        } else {
          const href = server() ? `${name}_href(${name}).href` : `new URL(${name}, location.href).href`
          const imports = `import ${name} from ${JSON.stringify(file.file)}`
          const helper = server() ? `import { pathToFileURL as ${name}_href } from 'node:url'\n` : ''
          urls.push({ setup: `${helper}${imports}\nconst ${name}_url = ${href}`, url: `${name}_url` })
        }
      }
      return urls
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
  if (beside.size > 0) await mkdir(folder, { recursive: true })
  for (const { file, name } of beside.values()) await copyFile(file, join(folder, name))
}
