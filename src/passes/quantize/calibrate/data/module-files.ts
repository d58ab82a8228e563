import { readdirSync, readFileSync } from 'node:fs'
import { dirname, extname, join, resolve } from 'node:path'
import { statOf } from './stat.ts'

/** A text that may name a file: imports, `require`, `new URL('./x.npz', import.meta.url)`, `join(import.meta.dirname, 'x.npz')` ... */
const LITERAL = /(['"`])((?:(?!\1)[^\n\\]){1,200})\1/g
const MODULE = /^\.[mc]?[jt]s$/
/** What may be left out of a path that is imported. */
const ENDS = ['', '.js', '.mjs', '.cjs', '.ts', '.mts', '.json', '/index.js', '/index.ts']
/** Further files of a folder are not looked at. */
const MOST = 10_000

/** True for files of JavaScript or TypeScript. */
export function isModule(path: string): boolean {
  return MODULE.test(extname(path))
}

/**
 * The files that decide what a JavaScript module gives, as far as its text tells: the module itself, every file and folder that it names
 * relative to itself, and the same of every module among them. Packages are not among them.
 */
export function moduleFiles(path: string): string[] {
  const files = new Set([path])
  for (const file of files) {
    if (!isModule(file)) continue
    const folder = dirname(file)
    for (const [, , literal] of readFileSync(file, 'utf8').matchAll(LITERAL))
      for (const found of named(folder, literal!)) files.add(found)
    if (files.size > MOST) break
  }
  return [...files]
}

function named(folder: string, literal: string): string[] {
  const text = literal.startsWith('file:') || literal.includes('\0') ? '' : literal.replace(/[?#].*$/, '')
  if (!/\w/.test(text)) return []
  for (const end of ENDS) {
    // Plain words name files of the folder, and packages.
    if (end && !text.startsWith('.')) return []
    const path = resolve(folder, text + end)
    if (/[\\/]node_modules[\\/]/.test(path)) return []
    const stat = statOf(path)
    if (stat?.isFile()) return [path]
    if (!end && stat?.isDirectory() && text.includes('/')) return filesIn(path)
  }
  return []
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .slice(0, MOST)
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}
