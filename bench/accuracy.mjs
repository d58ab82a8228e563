// How much quantized models lose, on data that nothing was fitted to: ours, and the recorded results of the Python tools at their
// default and at their best. Use: npm run bench -- accuracy [ROW...]      (a row by a part of its name; default: all)
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { cli } from './support/models.mjs'
import { readNpz } from './support/npz.mjs'
import { printTable } from './support/process.mjs'

const own = resolve(import.meta.dirname, '../../shared/models/own')
const calibrated = (model) => ['--calibration', join(own, `${model === 'minilm' ? 'minilm' : 'digits'}-calib.npz`)]

/** `peers`: settings of the recorded results, the default first; the best of all is shown beside it. */
const ROWS = [
  {
    name: 'dynamic int8',
    model: 'minilm',
    peers: ['dynamic', /^QInt8$/, /^QU?Int8(-pc)?(-rr)?$/],
    ours: { default: ['--quantize', 'dynamic'] },
  },
  {
    name: 'static int8, all operators',
    model: 'minilm',
    peers: ['static', /^pre-QDQ-MinMax-u8s8$/, /^(pre|as-is)-(?!.*only)/],
    ours: {
      'all-ops': ['--quantize', 'static', '--all-ops', '--no-matmul-const-only'],
      'all-ops, smooth-alpha 0.7': [
        '--quantize',
        'static',
        '--all-ops',
        '--no-matmul-const-only',
        '--smooth-alpha',
        '0.7',
      ],
    },
  },
  {
    name: 'static int8, default',
    model: 'minilm',
    peers: ['static', /^pre-QDQ-MinMax-u8s8$/, /^(pre|as-is)-/],
    ours: { default: ['--quantize', 'static'], 'smooth-alpha 0.7': ['--quantize', 'static', '--smooth-alpha', '0.7'] },
  },
  {
    name: 'static int8, MatMul only',
    model: 'minilm',
    peers: ['static', /onlymatmulconv$/, /onlymatmulconv$/],
    ours: {
      default: ['--quantize', 'static', '--ops', 'MatMul,Gemm'],
      'smooth-alpha 0.7': ['--quantize', 'static', '--ops', 'MatMul,Gemm', '--smooth-alpha', '0.7'],
    },
  },
  {
    name: '4 bits, blocks of 32, MatMul only',
    model: 'minilm',
    peers: ['nbits', /^default-b32-sym$/, /^(default|hqq|rtn|kquant|gptq)-b32/],
    ours: {
      default: ['--quantize', 'weights', '--no-embeddings'],
      gptq: ['--quantize', 'weights', '--no-embeddings', '--algorithm', 'gptq'],
      'gptq, smooth-alpha 0.5': [
        '--quantize',
        'weights',
        '--no-embeddings',
        '--algorithm',
        'gptq',
        '--smooth-alpha',
        '0.5',
      ],
    },
  },
  {
    name: '4 bits, MatMul and embeddings',
    model: 'minilm',
    peers: ['nbits', /^gather-b32-sym$/, /^gather-b32/],
    ours: {
      default: ['--quantize', 'weights'],
      gptq: ['--quantize', 'weights', '--algorithm', 'gptq'],
      'gptq, smooth-alpha 0.5': ['--quantize', 'weights', '--algorithm', 'gptq', '--smooth-alpha', '0.5'],
    },
  },
  {
    name: '2 bits, MatMul and embeddings',
    model: 'minilm',
    ours: {
      default: ['--quantize', 'weights', '--bits', '2'],
      gptq: ['--quantize', 'weights', '--bits', '2', '--algorithm', 'gptq'],
    },
  },
  {
    name: 'auto, 1 %',
    model: 'minilm',
    ours: { auto: ['--quantize', 'auto', '--max-loss', '1%'] },
  },
  {
    name: 'static u8s8 per channel',
    model: 'digits-cnn',
    peers: ['static', /^pre-QDQ-MinMax-u8s8-pc$/, /^(pre|as-is)-(?!.*u16)/],
    ours: { default: ['--quantize', 'static'], 'bias-correction': ['--quantize', 'static', '--bias-correction'] },
  },
  {
    name: 'static',
    model: 'digits-vit',
    peers: ['static', /^pre-QDQ-MinMax-u8s8$/, /^(pre|as-is)-(?!.*u16)/],
    ours: { default: ['--quantize', 'static'] },
  },
  {
    name: 'SmoothQuant',
    model: 'digits-vit',
    peers: ['smoothquant', /./, /./],
    ours: { 'smooth-alpha 0.5': ['--quantize', 'static', '--smooth-alpha', '0.5'] },
  },
]

export async function run({ names }) {
  if (!existsSync(own)) return console.log('accuracy: skipped, there is no ../shared/models')
  process.env['ORT_DISABLE_TELEMETRY'] ??= '1'
  const ort = await import('onnxruntime-node')
  const folder = mkdtempSync(join(tmpdir(), 'unplugin-onnx-bench-'))
  const measures = { minilm: await sentences(ort), digits: await digits(ort) }
  try {
    writeFileSync(join(folder, 'package.json'), '{}')
    const rows = ROWS.filter(
      ({ name, model }) => !names.length || names.some((part) => `${model} ${name}`.includes(part)),
    )
    const table = [['', 'peers, default', 'peers, best', 'ours', 'MB', '']]
    for (const { name, model, peers, ours } of rows) {
      const measure = measures[model.split('-')[0]]
      let first = true
      for (const [label, flags] of Object.entries(ours)) {
        const file = join(folder, `${table.length}.onnx`)
        const needsData = !flags.includes('dynamic') && (!flags.includes('weights') || flags.includes('gptq'))
        const data = needsData ? calibrated(model) : []
        execFileSync(process.execPath, [cli, 'build', join(own, `${model}.onnx`), ...flags, ...data, '-o', file], {
          cwd: folder,
          stdio: ['ignore', 'ignore', 'inherit'],
        })
        const known = first && peers ? recorded(model, peers) : []
        const found = await measure(model, file)
        const size = `${(statSync(file).size / 1e6).toFixed(statSync(file).size < 1e6 ? 3 : 2)}`
        table.push([first ? `${model}: ${name}` : '', known[0] ?? '', known[1] ?? '', found, size, label])
        first = false
      }
    }
    console.log('\nMiniLM: mean and least cosine of embeddings; digits: signal to noise ratio of logits, accuracy')
    printTable(table)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Recorded results at the default and at the best of the settings whose names fit. */
function recorded(model, [group, usual, all]) {
  // Python writes what JSON has not.
  const text = readFileSync(join(own, `golden/${model}.json`), 'utf8').replace(/-?\bInfinity\b|\bNaN\b/g, 'null')
  const settings = JSON.parse(text)[group]
  const tasks = Object.entries(settings).flatMap(([name, { run }]) => {
    const task = run?.all?.task
    return task && Object.keys(task).length ? [{ name, task }] : []
  })
  const score = ({ task }) => task.embedding_cosine_mean ?? task.sqnr_db
  const describe = ({ task }) =>
    task.embedding_cosine_mean === undefined
      ? `${task.sqnr_db.toFixed(1)} dB, ${task.accuracy.toFixed(3)}`
      : `${task.embedding_cosine_mean.toFixed(4)}, ${task.embedding_cosine_min.toFixed(4)}`
  const fitting = (pattern) => tasks.filter(({ name }) => pattern.test(name))
  const best = fitting(all).toSorted((a, b) => score(b) - score(a))[0]
  const [first] = fitting(usual)
  return [first ? describe(first) : '', best ? `${describe(best)} (${best.name})` : '']
}

async function sentences(ort) {
  const feeds = readNpz(join(own, 'minilm-eval.npz'))
  const embed = async (file) => {
    const session = await ort.InferenceSession.create(file, { logSeverityLevel: 4 })
    const inputs = session.inputNames.map((name) => [
      name,
      new ort.Tensor(feeds[name].type, feeds[name].data, feeds[name].dims),
    ])
    const hidden = Object.values(await session.run(Object.fromEntries(inputs))).find(({ dims }) => dims.length === 3)
    await session.release()
    const [count, length, width] = hidden.dims
    const mask = feeds.attention_mask.data
    return Array.from({ length: count }, (_, i) => {
      const sum = new Float64Array(width)
      for (let t = 0; t < length; t++)
        if (mask[i * length + t]) for (let k = 0; k < width; k++) sum[k] += hidden.data[(i * length + t) * width + k]
      return sum
    })
  }
  let reference
  return async (model, file) => {
    reference ??= await embed(join(own, `${model}.onnx`))
    const cosines = (await embed(file)).map((found, i) => cosine(found, reference[i]))
    const mean = cosines.reduce((sum, value) => sum + value, 0) / cosines.length
    return `${mean.toFixed(4)}, ${Math.min(...cosines).toFixed(4)}`
  }
}

async function digits(ort) {
  const { images, labels } = readNpz(join(own, 'digits-eval.npz'))
  const logits = async (file) => {
    const session = await ort.InferenceSession.create(file, { logSeverityLevel: 4 })
    const results = []
    for (let i = 0; i < labels.data.length; i++) {
      const image = new ort.Tensor('float32', images.data.slice(i * 64, (i + 1) * 64), [1, 1, 8, 8])
      const [output] = Object.values(await session.run({ [session.inputNames[0]]: image }))
      results.push(output.data)
    }
    await session.release()
    return results
  }
  const references = new Map()
  return async (model, file) => {
    if (!references.has(model)) references.set(model, await logits(join(own, `${model}.onnx`)))
    const reference = references.get(model)
    let [signal, noise, right] = [0, 0, 0]
    ;(await logits(file)).forEach((found, i) => {
      found.forEach((value, k) => {
        signal += reference[i][k] ** 2
        noise += (value - reference[i][k]) ** 2
      })
      if (found.indexOf(Math.max(...found)) === Number(labels.data[i])) right++
    })
    return `${(10 * Math.log10(signal / noise)).toFixed(1)} dB, ${(right / labels.data.length).toFixed(3)}`
  }
}

function cosine(a, b) {
  let [dot, x, y] = [0, 0, 0]
  a.forEach((value, i) => {
    dot += value * b[i]
    x += value ** 2
    y += b[i] ** 2
  })
  return dot / Math.sqrt(x * y)
}
