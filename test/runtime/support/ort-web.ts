import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, extname, resolve } from 'node:path'

const folder = dirname(createRequire(import.meta.url).resolve('onnxruntime-web'))
const TYPES: { [extension: string]: string } = { '.mjs': 'text/javascript', '.wasm': 'application/wasm' }

/** A file of onnxruntime-web that a page asks for as `/app/ort/NAME`. */
export function ortFile(path: string): { body: Uint8Array; type: string } | undefined {
  const [, name] = /^\/app\/ort\/([\w.-]+)$/.exec(path) ?? []
  const file = name && resolve(folder, name)
  return file && existsSync(file)
    ? { body: readFileSync(file), type: TYPES[extname(file)] ?? 'application/octet-stream' }
    : undefined
}
