// Builds dist/: ES modules that share chunks, all in one flat folder so that `new URL('./file', import.meta.url)` finds
// its neighbours (the worker, kernels.wasm) from any of them; declarations go to dist/types.
import { execFileSync } from 'node:child_process'
import { copyFileSync, readdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, join, resolve } from 'node:path'
import { build } from 'esbuild'
import { buildKernels } from './kernels.mjs'

const root = resolve(import.meta.dirname, '..')
const out = join(root, 'dist')
const path = (file) => join(root, file)

const bundlers = readdirSync(path('plugins')).map((file) => basename(file, '.ts'))
const tool = {
  ...Object.fromEntries(bundlers.map((name) => [name, `plugins/${name}.ts`])),
  index: 'src/plugin/index.ts',
  api: 'src/api.ts',
  processing: 'src/processing.ts',
  'calibration-worker': 'src/passes/quantize/calibrate/worker.ts',
}
/** Leaves out what only builds run: most of the code, which would take its time to parse. */
const withoutBuilds = {
  name: 'without-builds',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /\/(run|builds)\.ts$/ }, ({ path, kind }) =>
      kind === 'dynamic-import' ? { path, namespace: 'elsewhere' } : undefined,
    )
    onLoad({ filter: /.*/, namespace: 'elsewhere' }, () => ({
      contents: 'throw new Error("this is in builds.cjs")',
    }))
  },
}

// What starts from nothing again and again: one file each, as every further file takes its time; and CommonJS, as it loads what it
// requires only when that is needed, and in half the time.
const programs = {
  cli: ['src/cli/index.ts', withoutBuilds],
  worker: ['src/pipeline/worker.ts', withoutBuilds],
  builds: ['src/pipeline/builds.ts'],
  'kernels-worker': ['src/kernels/worker.ts'],
}
// What ships to the user's page or server is built apart, so that it can never share a chunk with the tool.
const shipped = {
  'runtime-web': 'src/runtime/web.ts',
  'runtime-node': 'src/runtime/node.ts',
  'runtime-generate': 'src/runtime/generate/index.ts',
}

rmSync(out, { recursive: true, force: true })
const kernels = await buildKernels()

/** Libraries that every build loads and that come in many small files. They are bundled, with their licences. */
const BUNDLED = ['protobufjs', 'picomatch']
const bundled = {
  name: 'bundled',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: new RegExp(`^(${BUNDLED.join('|')})(/|$)`) }, ({ path, resolveDir }) => ({
      path: createRequire(join(resolveDir, 'index.js')).resolve(path),
    }))
    // Integers of 64 bits are read without this library.
    onResolve({ filter: /^long$/ }, ({ path }) => ({ path, namespace: 'absent' }))
    onLoad({ filter: /.*/, namespace: 'absent' }, () => ({ contents: 'module.exports = undefined' }))
  },
}

const shared = {
  absWorkingDir: root,
  outdir: out,
  bundle: true,
  splitting: true,
  format: 'esm',
  packages: 'external',
  chunkNames: 'chunk-[hash]',
  sourcemap: true,
  sourcesContent: false,
  logLevel: 'warning',
}
const node = {
  ...shared,
  platform: 'node',
  target: 'node20.19',
  plugins: [bundled],
  minifySyntax: true,
  minifyWhitespace: true,
}
await build({ ...node, entryPoints: tool })
for (const [name, [entry, ...plugins]] of Object.entries(programs))
  await build({
    ...node,
    entryPoints: { [name]: entry },
    plugins: [...node.plugins, ...plugins],
    splitting: false,
    format: 'cjs',
    outExtension: { '.js': '.cjs' },
    define: { 'import.meta.url': 'importMetaUrl' },
    banner: { js: 'const importMetaUrl=require("node:url").pathToFileURL(__filename).href;' },
  })
await build({ ...shared, entryPoints: shipped, platform: 'neutral', target: 'es2022', chunkNames: 'runtime-[hash]' })

for (const name of BUNDLED) copyFileSync(path(`node_modules/${name}/LICENSE`), join(out, `${name}.LICENSE.txt`))
copyFileSync(kernels, join(out, basename(kernels)))
// Node starts it as it is, in a process of its own.
copyFileSync(path('src/measure/child.mjs'), join(out, 'child.mjs'))
execFileSync(process.execPath, [path('node_modules/typescript/bin/tsc'), '-p', path('tsconfig.build.json')], {
  stdio: 'inherit',
  cwd: root,
})
