// How fast dynamically quantized models run: ours, the Python peer's and the float original, interleaved in one process.
// Use: npm run bench -- latency [--runs 60] [MODEL...]      (default: minilm; batch 1, sequence 128)
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { cli, findModel, peersPython, peersScript } from './support/models.mjs'
import { median, printTable } from './support/process.mjs'

/** Sizes of dynamic dimensions by the order in which they appear; whatever comes later is 1. */
const SIZES = [1, 128]
const WARM_UP = 5

process.env['ORT_DISABLE_TELEMETRY'] ??= '1'

export async function run({ runs, names }) {
  const [python, script] = [peersPython(), peersScript()]
  const ort = await import('onnxruntime-node')
  const folder = mkdtempSync(join(tmpdir(), 'unplugin-onnx-bench-'))
  try {
    writeFileSync(join(folder, 'package.json'), '{}')
    for (const name of names.length > 0 ? names : ['minilm']) {
      const model = findModel(name)
      if (!model) continue
      const files = { 'float original': model }
      const ours = (label, ...flags) => {
        files[label] = join(folder, `${Object.keys(files).length}.onnx`)
        execFileSync(process.execPath, [cli, 'build', model, '--quantize', 'dynamic', ...flags, '-o', files[label]], {
          cwd: folder,
        })
      }
      const peer = (label, ...settings) => {
        if (!python || !script) return
        files[label] = join(folder, `${Object.keys(files).length}.onnx`)
        execFileSync(python, [script, 'dynamic', model, files[label], ...settings])
      }
      peer('peer, per tensor')
      ours('ours, per tensor', '--no-per-channel')
      peer('peer, per channel', 'per_channel=1')
      ours('ours, per channel (default)')
      for (const threads of [1, 4]) await compare(ort, name, files, { threads, runs })
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function compare(ort, name, files, { threads, runs }) {
  const sessions = {}
  for (const [label, file] of Object.entries(files))
    sessions[label] = await ort.InferenceSession.create(file, { intraOpNumThreads: threads, interOpNumThreads: 1 })
  const feeds = feedsOf(ort, Object.values(sessions)[0])
  const times = Object.fromEntries(Object.keys(files).map((label) => [label, []]))
  for (let i = 0; i < runs + WARM_UP; i++)
    for (const [label, session] of Object.entries(sessions)) {
      const start = performance.now()
      await session.run(feeds)
      if (i >= WARM_UP) times[label].push(performance.now() - start)
    }
  for (const session of Object.values(sessions)) await session.release()
  const reference = (label) =>
    label.startsWith('ours') ? label.replace('ours', 'peer').replace(' (default)', '') : label
  console.log(
    `\n${name}, batch ${SIZES[0]}, sequence ${SIZES[1]}, ${threads} thread${threads > 1 ? 's' : ''}, ${runs} runs`,
  )
  printTable([
    ['', 'median', 'least', 'of the peer: median', 'least'],
    ...Object.entries(times).map(([label, list]) => {
      const other = times[reference(label)]
      const ratio = (of) => (other && other !== list ? `${(of(list) / of(other)).toFixed(3)}x` : '')
      const least = (values) => Math.min(...values)
      return [label, `${median(list).toFixed(2)} ms`, `${least(list).toFixed(2)} ms`, ratio(median), ratio(least)]
    }),
  ])
}

/** Small whole numbers for inputs of integers (ones for masks), waves for inputs of floats. */
function feedsOf(ort, session) {
  const sizes = new Map()
  const sizeOf = (dim) => {
    if (typeof dim === 'number') return dim
    if (!sizes.has(dim)) sizes.set(dim, SIZES[sizes.size] ?? 1)
    return sizes.get(dim)
  }
  return Object.fromEntries(
    session.inputMetadata.map(({ name, type, shape }) => {
      const dims = shape.map(sizeOf)
      const length = dims.reduce((product, dim) => product * dim, 1)
      const whole = (i) => (name.includes('mask') ? 1 : name.includes('type') ? 0 : 1000 + ((i * 37) % 1000))
      const data =
        type === 'int64'
          ? BigInt64Array.from({ length }, (_, i) => BigInt(whole(i)))
          : type === 'int32'
            ? Int32Array.from({ length }, (_, i) => whole(i))
            : Float32Array.from({ length }, (_, i) => Math.sin(i))
      return [name, new ort.Tensor(type, data, dims)]
    }),
  )
}
