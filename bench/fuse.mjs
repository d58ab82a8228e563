// Fusing as whole processes, then how fast the results run: ours, the Python optimizer's and the original, interleaved.
// Use: npm run bench -- fuse [--runs 5] [MODEL...]      (default: minilm bert-base)
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { benchBuilds } from './support/builds.mjs'
import { compareLatency } from './support/latency.mjs'
import { cli, findModel, peersPython, peersScript } from './support/models.mjs'

const HEADS = { minilm: [12, 384], 'bert-base': [12, 768] }
/** Rounds of the latency comparison for each run of the builds. */
const ROUNDS = 8

const settings = (name) => {
  const [heads, hidden] = HEADS[name] ?? [0, 0]
  return [0, 1].map((level) => ({
    name: `fuse=bert, opt_level=${level}`,
    ours: ['--fuse', 'bert', '--opt-level', String(level)],
    peers: { 'Python peer': ['fuse', 'type=bert', `heads=${heads}`, `hidden=${hidden}`, `level=${level}`] },
  }))
}

export async function run({ runs, names }) {
  for (const name of names.length > 0 ? names : ['minilm', 'bert-base']) {
    await benchBuilds(settings(name), { runs, names: [name] })
    await latency(name, runs * ROUNDS)
  }
}

async function latency(name, runs) {
  const model = findModel(name)
  if (!model) return
  const [python, script] = [peersPython(), peersScript()]
  const folder = mkdtempSync(join(tmpdir(), 'unplugin-onnx-bench-'))
  try {
    writeFileSync(join(folder, 'package.json'), '{}')
    const files = { original: model }
    const add = (label, program, args) => {
      files[label] = join(folder, `${Object.keys(files).length}.onnx`)
      execFileSync(program, args(files[label]), { cwd: folder, stdio: 'ignore' })
    }
    for (const { name: label, ours, peers } of settings(name)) {
      if (python && script) {
        const [job, ...values] = peers['Python peer']
        add(`peer, ${label}`, python, (out) => [script, job, model, out, ...values])
      }
      add(`ours, ${label}`, process.execPath, (out) => [cli, 'build', model, ...ours, '-o', out])
    }
    console.log(
      `\n${Object.entries(files)
        .map(([label, file]) => `${label}: ${(statSync(file).size / 1e6).toFixed(3)} MB`)
        .join('\n')}`,
    )
    for (const threads of [1, 4]) await compareLatency(name, files, { threads, runs })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
