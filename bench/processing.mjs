// Pixels of a photo of 1920 x 1080 to what an image model takes: as part of the graph, and in plain JavaScript.
// Use: npm run bench -- processing [--runs 15]
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { identityModel } from './support/identity.mjs'
import { crop, imagenet, normalize, picture, resize } from './support/pixels.mjs'
import { median, printTable, spread } from './support/process.mjs'

const stretch = (image) => normalize(resize(image, 640, 640), [0, 0, 0], [1, 1, 1])
const cubic = (image) => {
  const resized = resize(image, 224, Math.round((image.width * 224) / image.height), 'cubic')
  return normalize(crop(resized, 224, 224), [0, 0, 0], [1, 1, 1])
}
const CASES = [
  ['imagenet', 224, imagenet],
  ['image(fit:stretch)', 640, stretch],
  ['image(interpolation:cubic)', 224, cubic],
]

export async function run({ runs }) {
  const { createOptimizer } = await import('../dist/api.js')
  const folder = mkdtempSync(join(tmpdir(), 'unplugin-onnx-bench-'))
  writeFileSync(join(folder, 'package.json'), '{}')
  const optimizer = createOptimizer({ root: folder, target: 'cpu' })
  const photo = picture(1920, 1080)
  const rows = [['steps', 'runtime', 'plain JavaScript', 'graph', 'JavaScript / graph', 'largest difference']]
  try {
    for (const [preprocess, size, plain] of CASES) {
      const source = join(folder, `identity-${size}.onnx`)
      writeFileSync(source, identityModel([1, 3, size, size]))
      const { file } = await optimizer.transform(source, { preprocess })
      for (const [name, threads] of [
        ['onnxruntime-node', 0],
        ['onnxruntime-node', 1],
        ['onnxruntime-web, wasm', 1],
      ]) {
        const module = name.startsWith('onnxruntime-web') ? 'onnxruntime-web/wasm' : name
        const loaded = await import(module)
        const ort = loaded.InferenceSession ? loaded : loaded.default
        if (ort.env.wasm) ort.env.wasm.numThreads = 1
        const session = await ort.InferenceSession.create(
          readFileSync(file),
          threads ? { intraOpNumThreads: threads } : {},
        )
        const feeds = { x: new ort.Tensor('uint8', photo.data, [photo.height, photo.width, 4]) }
        const [inGraph, inScript] = [[], []]
        let difference = 0
        for (let i = 0; i < runs + 3; i++) {
          const start = performance.now()
          const { y } = await session.run(feeds)
          const middle = performance.now()
          const expected = plain(photo)
          const end = performance.now()
          // The first ones warm up both.
          if (i >= 3) {
            inGraph.push((middle - start) / 1000)
            inScript.push((end - middle) / 1000)
          } else
            for (let at = 0; at < expected.length; at++)
              difference = Math.max(difference, Math.abs(expected[at] - y.data[at]))
        }
        await session.release()
        rows.push([
          preprocess,
          `${name}, ${threads || 'all'} thread${threads === 1 ? '' : 's'}`,
          spread(inScript),
          spread(inGraph),
          `${(median(inScript) / median(inGraph)).toFixed(2)}x`,
          difference.toFixed(4),
        ])
      }
    }
  } finally {
    await optimizer.close()
    rmSync(folder, { recursive: true, force: true })
  }
  console.log(`\nA photo of 1920 x 1080 as bytes, ${runs} runs: median (min-max)`)
  printTable(rows)
}
