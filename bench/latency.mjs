// How fast quantized models run: ours, the Python peer's of the same setting and the float original, interleaved in one process.
// Use: npm run bench -- latency [--runs 60] [MODEL...]      (default: all; batch 1, sequence 128)
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { compareLatency } from './support/latency.mjs'
import { cli, findModel, peersPython, peersScript } from './support/models.mjs'

/** Labels of ours and of the peer's are alike but for these words; what is in brackets is compared with the same one. */
const MODELS = {
  minilm: () => [
    ['peer, per tensor', ['dynamic']],
    ['ours, per tensor', ['--quantize', 'dynamic', '--no-per-channel']],
    ['peer, per channel', ['dynamic', 'per_channel=1']],
    ['ours, per channel (default)', ['--quantize', 'dynamic']],
    ['peer, 4 bits', ['q4']],
    ['ours, 4 bits', ['--dtype', 'q4']],
    ['ours, 4 bits (default)', ['--quantize', 'weights']],
  ],
  'digits-cnn': (folder) => digits(folder, 'image'),
  'digits-vit': (folder) => digits(folder, 'pixel_values'),
}

const digits = (folder, input) => {
  const data = join(folder, 'digits-calib.npz')
  const peer = ['static', `calib=${data}:images:${input}`]
  const ours = ['--quantize', 'static', '--calibration', data]
  const same = ['--all-ops', '--weight-type', 'int8', '--no-reduce-range']
  return [
    ['peer, static per tensor', peer],
    ['ours, static per tensor', [...ours, ...same, '--no-per-channel']],
    ['peer, static per channel', [...peer, 'per_channel=1']],
    ['ours, static per channel', [...ours, ...same]],
    ['ours, static per channel (int8, bias correction)', [...ours, '--weight-type', 'int8', '--bias-correction']],
    ['ours, static per channel (default)', ours],
  ]
}

export async function run({ runs, names }) {
  const [python, script] = [peersPython(), peersScript()]
  const folder = mkdtempSync(join(tmpdir(), 'unplugin-onnx-bench-'))
  try {
    writeFileSync(join(folder, 'package.json'), '{}')
    for (const name of names.length > 0 ? names : Object.keys(MODELS)) {
      const model = findModel(name)
      if (!model) continue
      const files = { 'float original': model }
      for (const [label, args] of (MODELS[name] ?? MODELS.minilm)(dirname(model))) {
        const file = join(folder, `${name}-${Object.keys(files).length}.onnx`)
        if (label.startsWith('ours'))
          execFileSync(process.execPath, [cli, 'build', model, ...args, '-o', file], { cwd: folder })
        else if (python && script) execFileSync(python, [script, args[0], model, file, ...args.slice(1)])
        else continue
        files[label] = file
      }
      for (const threads of [1, 4]) await compareLatency(name, files, { threads, runs })
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
