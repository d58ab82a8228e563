import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { OnnxError } from '../onnx/errors.ts'
import type { EmitFile } from './emit/emitter.ts'

/** The condition under which ONNX Runtime's package gives builds that load their wasm from where they are told. */
export const EXTERN_WASM = 'onnxruntime-web-use-extern-wasm'

/** The build of `onnxruntime-web` behind one of its entries. */
export interface WebRuntime {
  /** Absolute path of the module that leaves loading the wasm to its user. */
  entry: string
  /** Emscripten's glue and the wasm file; always emitted together. */
  mjs: EmitFile
  wasm: EmitFile
}

/**
 * Finds the files of an entry of the installed `onnxruntime-web`. Their names change with its versions: they are read from
 * its `exports` and from the entry's own text.
 *
 * @param specifier `onnxruntime-web/wasm`, `onnxruntime-web/webgpu`, ...
 * @param from a folder (the project's) to look from
 * @throws OnnxError when the package is not installed or has no such entry
 */
export function findWebRuntime(specifier: string, from: string): WebRuntime {
  const folder = packageFolder(from)
  const { exports } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    exports: Record<string, { import?: Record<string, string> } | undefined>
  }
  const path = exports[`.${specifier.slice('onnxruntime-web'.length)}`]?.import?.[EXTERN_WASM]
  const entry = path && join(folder, path)
  // The entry names the glue, and the glue its wasm; neither name is the same in all versions.
  const mjs = entry && neighbour(entry, 'mjs')
  const wasm = mjs && neighbour(mjs.file, 'wasm')
  if (!entry || !mjs || !wasm)
    throw new OnnxError('RUNTIME_UNKNOWN', `the installed onnxruntime-web has no usable entry \`${specifier}\``, {
      hint: 'Install the version of onnxruntime-web that this package names in its peerDependencies.',
    })
  return { entry, mjs, wasm }
}

function packageFolder(from: string): string {
  try {
    return dirname(dirname(createRequire(join(from, 'index.js')).resolve('onnxruntime-web/wasm')))
  } catch (cause) {
    throw webRuntimeMissing(cause)
  }
}

/** The error for a project without `onnxruntime-web`. */
export function webRuntimeMissing(cause?: unknown): OnnxError {
  return new OnnxError('RUNTIME_MISSING', 'onnxruntime-web is not installed', {
    hint: 'Models that run in browsers need it: npm install onnxruntime-web',
    cause,
  })
}

/** The file of ONNX Runtime with this extension that a module of it names. */
function neighbour(module: string, extension: string): EmitFile | undefined {
  const name = new RegExp(`ort-wasm[\\w.-]*\\.${extension}\\b`).exec(readFileSync(module, 'utf8'))?.[0]
  return name ? hashed(join(dirname(module), name), name) : undefined
}

const known = new Map<string, EmitFile>()

function hashed(file: string, name: string): EmitFile {
  let found = known.get(file)
  if (!found) {
    found = { file, name, hash: createHash('sha256').update(readFileSync(file)).digest('hex') }
    known.set(file, found)
  }
  return found
}
