// Static quantization: calibration and all, and memory with few and many samples. Use: npm run bench -- static [--runs 5]
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { benchBuilds } from './support/builds.mjs'
import { cli, findModel } from './support/models.mjs'
import { measure, median, printTable, spread } from './support/process.mjs'

const MODEL = 'digits-cnn'
const IMAGES = 100

export async function run({ runs }) {
  const model = findModel(MODEL)
  if (!model) return
  const data = join(dirname(model), 'digits-calib.npz')
  await benchBuilds(
    [
      {
        name: `static, ${IMAGES} images`,
        ours: ['--quantize', 'static', '--calibration', data, '--calibration-samples', String(IMAGES)],
        peers: { onnxruntime: ['static', `calib=${data}:images:image`, `samples=${IMAGES}`] },
      },
    ],
    { runs, names: [MODEL] },
  )
  await memory(model, runs)
}

/** Statistics take the same memory for any number of samples. */
async function memory(model, runs) {
  const folder = mkdtempSync(join(tmpdir(), 'unplugin-onnx-bench-'))
  try {
    writeFileSync(join(folder, 'package.json'), '{}')
    const rows = [['samples', 'time', 'peak memory']]
    for (const samples of [32, 1024]) {
      const file = join(folder, `${samples}.jsonl`)
      writeFileSync(
        file,
        Array.from({ length: samples }, (_, i) => `${JSON.stringify({ image: image(i) })}\n`).join(''),
      )
      const results = []
      for (let i = 0; i < runs; i++) {
        const args = ['build', model, '--no-cache', '--quantize', 'static', '--calibration-method', 'entropy']
        results.push(
          await measure(process.execPath, [cli, ...args, '--calibration', file, '-o', 'out'], { cwd: folder }),
        )
      }
      const peak = median(results.map(({ peakBytes }) => peakBytes / 1e6))
      rows.push([samples, spread(results.map(({ seconds }) => seconds)), `${peak.toFixed(0)} MB`])
    }
    console.log(`\n${MODEL}, static by entropy, ${runs} runs: median (min-max)`)
    printTable(rows)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function image(seed) {
  return [[Array.from({ length: 8 }, (_, y) => Array.from({ length: 8 }, (_, x) => (seed * 7 + y * 8 + x * 5) % 17))]]
}
