// Times the kernels against plain JavaScript and ONNX Runtime (one thread each unless said), in one run.
// Use: node bench/kernels.mjs [millions of floats, default 32]. Prints the best of several runs in GB/s of float32 input.
import { copyFileSync, mkdirSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { buildKernels } from '../scripts/kernels.mjs'

mkdirSync('.cache/bench', { recursive: true })
copyFileSync(await buildKernels(), '.cache/bench/kernels.wasm')
for (const [from, to] of [
  ['src/kernels/index.ts', '.cache/bench/kernels.mjs'],
  ['test/support/tiny-model.ts', '.cache/bench/tiny-model.mjs'],
])
  await build({
    entryPoints: [from],
    outfile: to,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    logLevel: 'error',
  })
const load = (name) => import(pathToFileURL(`.cache/bench/${name}`).href)
const kernels = await load('kernels.mjs')
const { tinyModel } = await load('tiny-model.mjs')

const length = Math.round(Number(process.argv[2] ?? 32) * 2 ** 20)
const x = Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898) * 0.1)
const rows = length / 4096
const columnsLayout = { outer: rows, channels: 4096, inner: 1 }
const rowsLayout = { outer: 1, channels: rows, inner: 4096 }

/** Gigabytes of input per second, best of five. */
async function rate(job, count = length) {
  let best = Number.POSITIVE_INFINITY
  for (let i = 0; i < 5; i++) {
    const start = performance.now()
    await job()
    best = Math.min(best, performance.now() - start)
  }
  return `${((count * 4) / best / 1e6).toFixed(2)} GB/s`
}

async function ort(nodes, inputs, output, feeds) {
  const session = await InferenceSession.create(tinyModel(nodes, inputs, { y: output }), {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'disabled',
  })
  return () => session.run(feeds)
}
const vector = { type: 1, dims: ['n'] }
const feed = { x: new Tensor('float32', x, [length]) }
const reduce = (op) =>
  ort([{ op, inputs: ['x'], outputs: ['y'], attributes: { keepdims: 0 } }], { x: vector }, { type: 1, dims: [] }, feed)
const [reduceMin, reduceMax] = [await reduce('ReduceMin'), await reduce('ReduceMax')]
const cast = await ort(
  [{ op: 'Cast', inputs: ['x'], outputs: ['y'], attributes: { to: 10 } }],
  { x: vector },
  { type: 10, dims: ['n'] },
  feed,
)
const quantizeLinear = await ort(
  [{ op: 'QuantizeLinear', inputs: ['x', 's', 'z'], outputs: ['y'] }],
  { x: vector, s: { type: 1, dims: [] }, z: { type: 3, dims: [] } },
  { type: 3, dims: ['n'] },
  { ...feed, s: new Tensor('float32', [0.001], []), z: new Tensor('int8', [3], []) },
)

const transposeNode = await ort(
  [{ op: 'Transpose', inputs: ['m'], outputs: ['y'] }],
  { m: { type: 1, dims: [rows, 4096] } },
  { type: 1, dims: [4096, rows] },
  { m: new Tensor('float32', x, [rows, 4096]) },
)

const javascript = {
  minMax() {
    let min = Infinity
    let max = -Infinity
    for (let i = 0; i < length; i++) {
      if (x[i] < min) min = x[i]
      if (x[i] > max) max = x[i]
    }
    return [min, max]
  },
  quantize() {
    const out = new Int8Array(length)
    for (let i = 0; i < length; i++) {
      const v = Math.fround(x[i] / 0.001)
      let r = Math.round(v)
      if (r - v === 0.5 && r % 2 !== 0) r--
      r += 3
      out[i] = Math.min(Math.max(r, -128), 127)
    }
    return out
  },
}
const one = { scale: Math.fround(0.001), zeroPoint: 3 }
const many = (n) => ({ scales: new Float32Array(n).fill(one.scale), zeroPoints: new Int32Array(n).fill(3) })
const [bytes, halves] = [new Uint8Array(length), new Uint8Array(length * 2)]
const table = {
  'min and max': {
    wasm: await rate(() => kernels.minMax(x)),
    javascript: await rate(javascript.minMax),
    onnxruntime: await rate(async () => [await reduceMin(), await reduceMax()]),
  },
  'min and max per column': { wasm: await rate(() => kernels.minMaxPerChannel(x, columnsLayout)) },
  'min and max per row': { wasm: await rate(() => kernels.minMaxPerChannel(x, rowsLayout)) },
  'to int8': {
    wasm: await rate(() => kernels.quantize(x, 'int8', one)),
    javascript: await rate(javascript.quantize),
    onnxruntime: await rate(quantizeLinear),
  },
  'to int8, memory reused': { wasm: await rate(() => kernels.quantize(x, 'int8', one, bytes)) },
  'to int8 per column': { wasm: await rate(() => kernels.quantizePerChannel(x, columnsLayout, 'int8', many(4096))) },
  'to int8 per row': { wasm: await rate(() => kernels.quantizePerChannel(x, rowsLayout, 'int8', many(rows))) },
  'to int4': { wasm: await rate(() => kernels.quantize(x, 'int4', one)) },
  transpose: {
    wasm: await rate(() => kernels.transpose(new Uint8Array(x.buffer), rows, 4096, 4)),
    onnxruntime: await rate(transposeNode),
  },
  'to float16': { wasm: await rate(() => kernels.toFloat16(x)), onnxruntime: await rate(cast) },
  'to float16, memory reused': { wasm: await rate(() => kernels.writeFloat16(x, halves)) },
  comparison: { wasm: await rate(() => kernels.compare(x, x)) },
  histogram: { wasm: await rate(() => kernels.addToHistogram(kernels.histogram(-0.1, 0.1, 2048), x)) },
  'to bfloat16': { wasm: await rate(() => kernels.toBfloat16(x)) },
}
console.table(table)

const small = x.subarray(0, 4096 * 1024)
const layout = { outer: 1, length: 4096, inner: 1024 }
const searches = {}
for (const [method, symmetric] of [
  ['minmax', false],
  ['hqq', false],
  ['mse', false],
  ['mse', true],
  ['k_quant', false],
])
  for (const blockSize of [32, 128]) {
    const start = performance.now()
    let runs = 0
    for (; performance.now() - start < 500; runs++)
      kernels.quantizeBlocks(small, layout, { bits: 4, blockSize, method, symmetric })
    const each = (performance.now() - start) / runs
    searches[`4 bits, blocks of ${blockSize}, ${method}${symmetric ? ', symmetric' : ''}`] = {
      'ns per element': ((each * 1e6) / small.length).toFixed(1),
    }
  }
console.table(searches)

await build({
  entryPoints: ['src/kernels/worker.ts'],
  outfile: '.cache/bench/kernels-worker.mjs',
  bundle: true,
  platform: 'node',
  format: 'esm',
  logLevel: 'error',
})
const worker = pathToFileURL('.cache/bench/kernels-worker.mjs')
const big = { outer: rows / 1024, length: 4096, inner: 1024 }
const pooled = {}
for (const threads of [1, 2, 4]) {
  const pool = kernels.blockPool({ threads, worker })
  const start = performance.now()
  await pool.quantizeBlocks(x, big, { bits: 4, blockSize: 32, method: 'mse' })
  pooled[`${threads} threads, mse, ${length / 2 ** 20} M elements`] = { ms: Math.round(performance.now() - start) }
  await pool.close()
}
console.table(pooled)
