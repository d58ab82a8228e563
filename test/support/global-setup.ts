import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '../..')
const run = (script: string) => execFileSync(process.execPath, [join(root, script)], { cwd: root, stdio: 'inherit' })

/**
 * Runs once before all tests. Compiles what the sources need at run time, and builds dist/ when it is older than they are:
 * tests of bundlers, examples and the command line use what is shipped.
 */
export default function setup(): void {
  run('scripts/kernels.mjs')
  const sources = ['src', 'plugins', 'scripts'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) => join(root, folder, file)),
  )
  const newest = Math.max(...sources.filter((file) => !file.endsWith('.wasm')).map((file) => statSync(file).mtimeMs))
  const built = join(root, 'dist/index.js')
  if (!existsSync(built) || statSync(built).mtimeMs < newest) run('scripts/build.mjs')
}
