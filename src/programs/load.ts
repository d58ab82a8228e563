import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs'
import { createRequire, Module } from 'node:module'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Script } from 'node:vm'
import { codeFile, readCode, writeCode } from './code-cache.ts'

/** Hashes of the built programs by file name; the build puts them here. */
declare const PROGRAM_HASHES: Readonly<Record<string, string>> | undefined

/** A built program that was loaded. */
export interface Program<T> {
  exports: T
  /**
   * Keeps what V8 has compiled up to now for the next process, unless it has that already.
   *
   * @param kinds what the program has just done: other things run other functions
   */
  keep(kinds: readonly string[]): void
}

/** True in the programs themselves, of which each has the others beside it; not in sources and in modules for bundlers. */
export function isProgram(): boolean {
  return import.meta.url.endsWith('.cjs')
}

const programs = new Map<string, Program<unknown>>()

/**
 * Loads another program of `dist`, with the code that V8 made of it in an earlier process: parsing them takes a large part of a small
 * build's time. As `require` it gives the same module every time.
 *
 * @param name of the file, as in `builds.cjs`
 */
export function loadProgram<T>(name: string): Program<T> {
  const known = programs.get(name)
  if (known) return known as Program<T>
  const file = fileURLToPath(new URL(`./${name}`, import.meta.url))
  const hash = PROGRAM_HASHES?.[name]
  // V8 itself compares lengths alone, and whoever patches the program leaves the build's hash as it was.
  const cache = hash === undefined ? undefined : codeFile(file, `${hash}-${Math.trunc(statSync(file).mtimeMs)}`)
  const program = cache === undefined ? requireProgram<T>(file) : compileProgram<T>(file, cache)
  programs.set(name, program)
  return program
}

function requireProgram<T>(file: string): Program<T> {
  return { exports: createRequire(file)(file) as T, keep() {} }
}

function compileProgram<T>(file: string, cache: string): Program<T> {
  const require = createRequire(file)
  if (require.cache[file]) return requireProgram(file)
  const kept = readCode(cache)
  const script = new Script(functionOf(file), { filename: file, cachedData: kept?.code })
  const known = new Set(script.cachedDataRejected ? [] : kept?.kinds)
  const module = new Module(file)
  module.filename = file
  require.cache[file] = module
  const run = script.runInThisContext() as (...args: unknown[]) => void
  try {
    run.call(module.exports, module.exports, require, module, file, dirname(file))
  } catch (error) {
    // Whoever asks again must not get half of it.
    delete require.cache[file]
    throw error
  }
  module.loaded = true
  return {
    exports: module.exports as T,
    keep(kinds) {
      if (kinds.every((kind) => known.has(kind))) return
      for (const kind of kinds) known.add(kind)
      writeCode(cache, [...known], () => script.createCachedData())
    },
  }
}

const HEAD = '(function(exports,require,module,__filename,__dirname){'
const TAIL = '\n})'

/** The text of a module as a function, in one piece: texts that are put together are copied when they are compiled. */
function functionOf(file: string): string {
  const fd = openSync(file, 'r')
  try {
    const { size } = fstatSync(fd)
    const bytes = Buffer.allocUnsafeSlow(HEAD.length + size + TAIL.length)
    bytes.write(HEAD, 'latin1')
    bytes.write(TAIL, HEAD.length + size, 'latin1')
    for (let done = 0; done < size; ) {
      const count = readSync(fd, bytes, HEAD.length + done, size - done, done)
      if (count === 0) throw new Error(`${file} ends too early`)
      done += count
    }
    // The programs are plain ASCII, see the build.
    return bytes.toString('latin1')
  } finally {
    closeSync(fd)
  }
}
