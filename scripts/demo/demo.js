// npm run demo: Vite bundles two trained digit classifiers, as they are and quantized; then the bundle is run in Node on
// images that the models never saw.
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import pc from 'picocolors'
import { readNumpyFile } from 'unplugin-onnx/api'
import { build } from 'vite'

const here = import.meta.dirname
const fixture = (name) => join(here, '../../fixtures', name)

console.log(pc.bold('1. vite build'), pc.dim('(scripts/demo/models.js, with unplugin-onnx/vite)\n'))
await build({ configFile: join(here, 'vite.config.js') })
const models = await import(pathToFileURL(join(here, 'dist/models.js')).href)

const arrays = readNumpyFile(fixture('digits-eval.npz'))
const pixels = new Float32Array(arrays.get('images').data.buffer)
const labels = [...new BigInt64Array(arrays.get('labels').data.buffer)].map(Number)
const SIZE = 8 * 8

console.log(`\n${pc.bold('2. the bundle, run in Node')} ${pc.dim(`on ${labels.length} held-out images`)}\n`)
const pairs = [
  { name: 'CNN', source: 'digits-cnn.onnx', float: models.cnn, small: models.cnnInt8 },
  { name: 'ViT', source: 'digits-vit.onnx', float: models.vit, small: models.vitInt8 },
]
const rows = []
for (const { name, source, float, small } of pairs) {
  rows.push({ model: `${name} float32`, bytes: statSync(fixture(source)).size, ...(await evaluate(float)) })
  rows.push({ model: `${name} int8`, bytes: statSync(fileURLToPath(small.url)).size, ...(await evaluate(small)) })
}
const table = [
  ['', 'size', 'accuracy', 'one image'],
  ...rows.map(({ model, bytes, correct, milliseconds }) => [
    model,
    `${(bytes / 1000).toFixed(1)} kB`,
    `${((100 * correct) / labels.length).toFixed(1)} %  (${correct}/${labels.length})`,
    `${milliseconds.toFixed(2)} ms`,
  ]),
]
const widths = table[0].map((_, i) => Math.max(...table.map((row) => row[i].length)))
for (const row of table) console.log(`  ${row.map((cell, i) => cell.padEnd(widths[i])).join('   ')}`)

const pick = 7
const image = pixels.subarray(pick * SIZE, (pick + 1) * SIZE)
console.log(`\n${pc.bold('3. one of them')} ${pc.dim('as the int8 CNN sees it')}\n`)
const { session, scores } = await predict(models.cnnInt8, image, 1)
await session.dispose()
const bars = softmax(scores).map((p, digit) => `${digit} ${'█'.repeat(Math.round(p * 20))} ${(100 * p).toFixed(1)} %`)
for (let y = 0; y < 10; y++) {
  const line =
    y < 8 ? [...image.subarray(y * 8, y * 8 + 8)].map((p) => ' ░▒▓█'[Math.round(p * 4)].repeat(2)).join('') : ''
  console.log(`  ${line.padEnd(16)}    ${bars[y]}`)
}
console.log(`\n  it says ${pc.bold(scores.indexOf(Math.max(...scores)))}, the label says ${pc.bold(labels[pick])}`)

/** Accuracy on all images at once, and the median time of one image alone. */
async function evaluate(model) {
  const { session, scores } = await predict(model, pixels, labels.length)
  const correct = labels.filter((label, i) => {
    const own = scores.slice(i * 10, i * 10 + 10)
    return own.indexOf(Math.max(...own)) === label
  }).length
  const times = []
  for (let i = 0; i < 200; i++) {
    const start = performance.now()
    await session.run({ [session.inputs[0].name]: pixels.subarray(0, SIZE) })
    times.push(performance.now() - start)
  }
  await session.dispose()
  return { correct, milliseconds: times.sort((a, b) => a - b)[100] }
}

async function predict(model, data, count) {
  const session = await model()
  const { logits } = await session.run({ [session.inputs[0].name]: { data, dims: [count, 1, 8, 8] } })
  return { session, scores: [...logits.data] }
}

function softmax(scores) {
  const top = Math.max(...scores)
  const powers = scores.map((score) => Math.exp(score - top))
  const sum = powers.reduce((total, power) => total + power, 0)
  return powers.map((power) => power / sum)
}
