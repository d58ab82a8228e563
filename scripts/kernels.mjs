// Compiles src/kernels/assembly to src/kernels/kernels.wasm. Does nothing when the file is newer than all sources.
// Use: `node scripts/kernels.mjs`, or `await buildKernels()`.
import { readdirSync, renameSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const sources = join(root, 'src/kernels/assembly')
const target = join(root, 'src/kernels/kernels.wasm')

/** When the file last changed, in milliseconds; 0 where there is none. */
const changed = (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0

/** Brings kernels.wasm up to date and returns its path. Throws with the compiler's output when a source is wrong. */
export async function buildKernels() {
  const inputs = [...readdirSync(sources).map((name) => join(sources, name)), fileURLToPath(import.meta.url)]
  if (changed(target) > Math.max(...inputs.map(changed))) return target
  const { default: asc } = await import('assemblyscript/asc')
  // compiled beside and renamed, so that a process that starts meanwhile never reads half a file
  const fresh = target.replace('.wasm', `.${process.pid}.wasm`)
  const options = ['--enable', 'simd', '-O3', '--noAssert', '--runtime', 'stub']
  const { error, stderr } = await asc.main([
    'src/kernels/assembly/index.ts',
    '--baseDir',
    root,
    '-o',
    fresh.slice(root.length + 1),
    ...options,
  ])
  if (error) throw new Error(`The kernels do not compile: ${error.message}\n${stderr}`)
  renameSync(fresh, target)
  return target
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildKernels()
