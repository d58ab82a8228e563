import { createHash, randomUUID } from 'node:crypto'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { cachedDataVersionTag } from 'node:v8'

/** What V8 made of a program the last times: bytecode of the functions that ran. */
export interface KeptCode {
  /** For `cachedData` of `vm.Script`. */
  code: Buffer
  /** What the program did in those runs. */
  kinds: readonly string[]
}

const CACHE = '.cache/unplugin-onnx/code'

/** Bytes of a SHA-256 hash. */
const DIGEST = 32

/** Files of other versions go when they are older than this. */
const STALE_MS = 24 * 60 * 60 * 1000

/**
 * The file in which the code of a program is kept: `.cache/unplugin-onnx/code` of the `node_modules` that the program itself is
 * installed in, as whoever can write there can change the program anyway. `NODE_COMPILE_CACHE` is another folder for it, and
 * `NODE_DISABLE_COMPILE_CACHE` does without, as in Node itself; so does measuring coverage, which needs all functions.
 *
 * The name has the version of V8, its flags and the processor's features in it, as V8 takes back only what it would make itself.
 *
 * A folder of `NODE_COMPILE_CACHE` may be everyone's: there each user has files of their own.
 *
 * @param version tells the texts of the program apart
 */
export function codeFile(
  program: string,
  version: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): string | undefined {
  if (env['NODE_DISABLE_COMPILE_CACHE'] || env['NODE_V8_COVERAGE']) return undefined
  const given = env['NODE_COMPILE_CACHE']
  const folder = given ? join(given, 'unplugin-onnx') : installedCache(dirname(program))
  const user = given && process.getuid ? `-${process.getuid()}` : ''
  const tag = `${process.arch}-${cachedDataVersionTag().toString(16)}${user}`
  return folder && join(folder, `${basename(program)}-${tag}-${version}`)
}

/** The nearest `node_modules` that the program is in, or else that of the package it is part of. */
function installedCache(folder: string): string | undefined {
  for (let at = folder; at !== dirname(at); at = dirname(at))
    if (basename(at) === 'node_modules') return join(at, CACHE)
  for (let at = folder; at !== dirname(at); at = dirname(at))
    if (existsSync(join(at, 'package.json'))) {
      const modules = join(at, 'node_modules')
      return existsSync(modules) ? join(modules, CACHE) : undefined
    }
  return undefined
}

/** Undefined if there is no such file, or it is not as it was written: V8 trusts what it is given. */
export function readCode(file: string): KeptCode | undefined {
  try {
    const bytes = readFileSync(file)
    const end = bytes.length - DIGEST
    if (!digestOf(bytes.subarray(0, end)).equals(bytes.subarray(end))) return undefined
    const length = bytes.readUInt32LE(end - 4)
    const start = end - 4 - length
    return { code: bytes.subarray(0, start), kinds: JSON.parse(bytes.toString('utf8', start, end - 4)) as string[] }
  } catch {
    return undefined
  }
}

/**
 * Writes the file in one step, so that nobody reads half of it. Where that is not possible there is none.
 *
 * @param make gives the code; called only where it can be written, as it takes its time
 */
export function writeCode(file: string, kinds: readonly string[], make: () => Buffer): void {
  // Threads of one process may write at the same moment.
  const unfinished = `${file}.${randomUUID()}`
  try {
    mkdirSync(dirname(file), { recursive: true })
    const fd = openSync(unfinished, 'wx')
    try {
      writeFileSync(fd, withDigest(make(), kinds))
    } finally {
      closeSync(fd)
    }
    renameSync(unfinished, file)
    sweep(file)
  } catch {
    try {
      rmSync(unfinished, { force: true })
    } catch {
      // There is no such folder.
    }
  }
}

function withDigest(code: Buffer, kinds: readonly string[]): Buffer {
  const about = Buffer.from(JSON.stringify(kinds))
  const length = Buffer.alloc(4)
  length.writeUInt32LE(about.length)
  // The code comes first: V8 wants it aligned.
  const bytes = Buffer.concat([code, about, length])
  return Buffer.concat([bytes, digestOf(bytes)])
}

function digestOf(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}

/** Removes what other versions of the program have left. */
function sweep(file: string): void {
  const [program] = basename(file).split('-')
  for (const name of readdirSync(dirname(file))) {
    const other = join(dirname(file), name)
    if (other !== file && name.startsWith(`${program}-`) && Date.now() - statSync(other).mtimeMs > STALE_MS)
      rmSync(other, { force: true })
  }
}
