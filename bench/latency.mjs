// How fast dynamically quantized models run: ours, the Python peer's and the float original, interleaved in one process.
// Use: npm run bench -- latency [--runs 60] [MODEL...]      (default: minilm; batch 1, sequence 128)
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compareLatency } from './support/latency.mjs'
import { cli, findModel, peersPython, peersScript } from './support/models.mjs'

export async function run({ runs, names }) {
  const [python, script] = [peersPython(), peersScript()]
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
      for (const threads of [1, 4]) await compareLatency(name, files, { threads, runs })
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
