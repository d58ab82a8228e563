import { constants, copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { copyFile, mkdir } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { type Beside, type EmitFile, type EmittedUrl, type Emitter, setBeside, URL_CHARACTERS } from './emitter.ts'

/** The part of Farm's configuration that matters here. */
export interface FarmConfig {
  root?: string
  compilation?: {
    mode?: string
    output?: { path?: string; targetEnv?: string; assetsFilename?: string }
    assets?: { include?: string[] }
  }
}

/**
 * Farm: an import of the file in the cache, which its static assets plugin hashes and copies. Its `emitFile` takes an array
 * with a JavaScript number per byte.
 *
 * @param server whether the output runs in Node: there the import gives a path, in a browser a URL
 * @param beside collects files that we have to put beside what Farm emits
 * @param standIns a folder for short texts in the place of files, as Farm reads all that it emits: see {@link replaceStandIns}; undefined: none
 */
export function farmEmitter(server: () => boolean, beside: Beside, standIns: () => string | undefined): Emitter {
  const emit = (given: EmitFile, name: string): EmittedUrl => {
    const file = standIn(given, standIns())
    const href = server() ? `${name}_href(${name}).href` : `new URL(${name}, location.href).href`
    const helper = server() ? `import { pathToFileURL as ${name}_href } from 'node:url'\n` : ''
    const setup = `${helper}import ${name} from ${JSON.stringify(file)}\nconst ${name}_url = ${href}`
    return { setup, url: `${name}_url` }
  }
  return {
    emit(_hook, files, { together, local }) {
      if (together) {
        const { setup, url } = emit(files[0]!, local(0))
        return setBeside(files, url, beside).map((one, i) => ({ setup: i === 0 ? setup : '', url: one }))
      }
      return files.map((file, i) => {
        if (!isScript(file)) return emit(file, local(i))
        // A script would be bundled: it goes beside the next file, which Farm emits.
        const name = file.name.replace(/(?=\.m?js$)/, `-${file.hash.slice(0, 8)}`)
        beside.set(name, file)
        return { setup: '', url: `new URL(${JSON.stringify(name)}, ${local(i + 1)}_url).href` }
      })
    },
  }
}

/** What a stand-in begins with; the path of the file follows, for builds in which Farm takes modules from its own cache. */
const STAND_IN = 'unplugin-onnx '

/** Writes a text in the place of a file and gives its path; that of the file itself where that can't be done. */
function standIn({ file, name, hash }: EmitFile, folder: string | undefined): string {
  if (folder === undefined) return file
  // Farm writes the name into a URL as it is.
  const path = join(folder, hash.slice(0, 16), name.replace(URL_CHARACTERS, '_'))
  try {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, `${STAND_IN}${hash} ${file}`)
    return path
  } catch {
    return file
  }
}

/**
 * Puts the files where Farm has written their stand-ins. Farm does not wait for the hook that this is called in.
 * @param resources content of all that Farm has written, by name
 */
export function replaceStandIns(
  resources: Readonly<Record<string, { bytes: readonly number[] }>>,
  config: FarmConfig,
): void {
  for (const [name, { bytes }] of Object.entries(resources)) {
    if (bytes.length > 8192) continue
    const text = Buffer.from(bytes).toString()
    if (!text.startsWith(STAND_IN)) continue
    const file = text.slice(text.indexOf(' ', STAND_IN.length) + 1)
    const target = resolve(config.root ?? '.', config.compilation?.output?.path ?? 'dist', name.replace(/[?#].*$/, ''))
    copyFileSync(file, target, constants.COPYFILE_FICLONE)
  }
}

const isScript = ({ name }: EmitFile): boolean => /\.m?js$/.test(name)

/** Makes models and ONNX Runtime's wasm assets for Farm. */
export function configureFarm(config: FarmConfig): FarmConfig {
  config.compilation ??= {}
  config.compilation.assets ??= {}
  config.compilation.assets.include = [
    ...(config.compilation.assets.include ?? []),
    'onnx',
    'onnx_adapter',
    'safetensors',
    'npz',
    'tokenizer',
    'wasm',
  ]
  return config
}

/** Puts files where Farm puts its assets. */
export async function placeBeside(config: FarmConfig, beside: Beside): Promise<void> {
  const { path = 'dist', assetsFilename = '' } = config.compilation?.output ?? {}
  const folder = resolve(config.root ?? '.', path, dirname(assetsFilename))
  for (const [name, { file }] of beside) {
    const target = join(folder, name)
    await mkdir(dirname(target), { recursive: true })
    await copyFile(file, target)
  }
}
