// How fast models run, turn by turn in one process.
import { performance } from 'node:perf_hooks'
import { median, printTable } from './process.mjs'

/** Sizes of dynamic dimensions by the order in which they appear; whatever comes later is 1. */
const SIZES = [1, 128]
const WARM_UP = 5

process.env['ORT_DISABLE_TELEMETRY'] ??= '1'

/**
 * Times models of one signature and prints a table; those whose label begins with `ours` are compared with the same one of the
 * `peer`.
 *
 * @param files model files by label
 */
export async function compareLatency(name, files, { threads, runs }) {
  const ort = await import('onnxruntime-node')
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
    label.startsWith('ours') ? label.replace('ours', 'peer').replace(/ \(.*\)$/, '') : label
  console.log(`\n${name}, dynamic sizes ${SIZES.join(', ')}, ${threads} thread${threads > 1 ? 's' : ''}, ${runs} runs`)
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
