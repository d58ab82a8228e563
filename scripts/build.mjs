// Builds dist/: ES modules that share chunks, all in one flat folder so that `new URL('./file', import.meta.url)` finds
// its neighbours (the worker, kernels.wasm) from any of them; declarations go to dist/types.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, join, resolve } from 'node:path'
import { parse } from 'acorn'
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
// requires only when that is needed, and in half the time. Those that load others, with the code that V8 has kept for them, come last.
const programs = {
  builds: ['src/pipeline/builds.ts'],
  'kernels-worker': ['src/kernels/worker.ts'],
  main: ['src/cli/main.ts', withoutBuilds],
  worker: ['src/pipeline/worker.ts', withoutBuilds],
  cli: ['src/cli/index.ts'],
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

/** The JavaScript of ONNX Runtime in one file, where its native part is of the same version. */
const oneRuntime = {
  name: 'one-runtime',
  setup({ onResolve, onLoad }) {
    const main = path('node_modules/onnxruntime-node/dist/index.js')
    const { version } = createRequire(main)('../package.json')
    onResolve({ filter: /^onnxruntime-common$/ }, () => ({ path: createRequire(main).resolve('onnxruntime-common') }))
    onLoad({ filter: /[\\/]src[\\/]ort[\\/]installed\.ts$/ }, () => ({
      loader: 'js',
      resolveDir: root,
      contents: `
        import { createRequire } from 'node:module'
        export function installedOrt() {
          const installed = createRequire(import.meta.url)
          const file = installed.resolve('onnxruntime-node')
          if (installed.cache[file] || installed('onnxruntime-node/package.json').version !== '${version}') return installed(file)
          const exports = require(${JSON.stringify(main)})
          // For calibration modules and the like.
          installed.cache[file] = Object.assign(new (require('node:module'))(file), { filename: file, loaded: true, exports })
          return exports
        }`,
    }))
    onLoad({ filter: /[\\/]onnxruntime-node[\\/]dist[\\/]binding\.js$/ }, ({ path }) => ({
      contents: readFileSync(path, 'utf8').replace(
        'require(`../bin/',
        'require("node:module").createRequire(require("node:module").createRequire(importMetaUrl).resolve("onnxruntime-node"))(`../bin/',
      ),
    }))
  },
}

/** Parts of Node that few builds need. */
const RARE = ['node:child_process', 'node:fs/promises', 'node:http', 'node:readline', 'node:zlib']

/** Packages that are not bundled, and what is rare, are loaded when something of them is used: all that any part may need takes long. */
const whenUsed = {
  name: 'when-used',
  setup({ onResolve, onLoad }) {
    const require = createRequire(import.meta.url)
    onResolve({ filter: /^[^./]/ }, ({ path, kind, namespace }) => {
      if (kind !== 'import-statement' || namespace === 'when-used') return undefined
      const isLate = path.startsWith('node:') ? RARE.includes(path) : !BUNDLED.includes(path.split('/')[0])
      return isLate ? { path, namespace: 'when-used' } : undefined
    })
    onLoad({ filter: /.*/, namespace: 'when-used' }, ({ path }) => ({
      resolveDir: root,
      contents: `let loaded;const load=()=>loaded??=require('${path}');for(const name of ${JSON.stringify(Object.keys(require(path)))})
        Object.defineProperty(exports,name,{enumerable:true,get:()=>load()[name]})`,
    }))
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
/** Replaces every `import(` by `summon(`. */
function withoutImports(text) {
  const places = []
  const visit = (node) => {
    if (node.type === 'ImportExpression') places.push(node.start)
    for (const value of Object.values(node))
      for (const child of Array.isArray(value) ? value : [value]) if (typeof child?.type === 'string') visit(child)
  }
  visit(parse(text, { ecmaVersion: 'latest', sourceType: 'script', allowHashBang: true }))
  return places.reduce((done, at) => `${done.slice(0, at)}summon${done.slice(at + 'import'.length)}`, text)
}

const hashes = {}
for (const [name, [entry, ...plugins]] of Object.entries(programs)) {
  await build({
    ...node,
    entryPoints: { [name]: entry },
    plugins: [...node.plugins, ...plugins, oneRuntime, whenUsed],
    splitting: false,
    format: 'cjs',
    outExtension: { '.js': '.cjs' },
    define: { 'import.meta.url': 'importMetaUrl', PROGRAM_HASHES: JSON.stringify(hashes) },
    banner: {
      js: 'const importMetaUrl=require("node:url").pathToFileURL(__filename).href,summon=(specifier)=>require("./summon.cjs")(specifier);',
    },
  })
  const text = withoutImports(readFileSync(join(out, `${name}.cjs`), 'utf8'))
  // Text of one byte per character is read at once.
  if (!/^[\0-\x7f]*$/.test(text)) throw new Error(`${name}.cjs is not plain ASCII`)
  writeFileSync(join(out, `${name}.cjs`), text)
  hashes[`${name}.cjs`] = createHash('sha256').update(text).digest('hex').slice(0, 16)
}
// In code that V8 has kept `import()` does not work: there is one in a file of its own. The name has the same length.
writeFileSync(join(out, 'summon.cjs'), 'module.exports=(specifier)=>import(specifier)\n')
await build({
  ...shared,
  entryPoints: shipped,
  platform: 'neutral',
  target: 'es2022',
  chunkNames: 'runtime-[hash]',
  // Dev servers hand these maps to browsers, and the sources are not in the package.
  sourcesContent: true,
})

for (const name of BUNDLED) copyFileSync(path(`node_modules/${name}/LICENSE`), join(out, `${name}.LICENSE.txt`))
// ONNX Runtime's packages name their licence and owner, and come without the text.
copyFileSync(path('scripts/licenses/onnxruntime.txt'), join(out, 'onnxruntime.LICENSE.txt'))
copyFileSync(kernels, join(out, basename(kernels)))
// Node starts it as it is, in a process of its own.
copyFileSync(path('src/measure/child.mjs'), join(out, 'child.mjs'))
execFileSync(process.execPath, [path('node_modules/typescript/bin/tsc'), '-p', path('tsconfig.build.json')], {
  stdio: 'inherit',
  cwd: root,
})
