// Builds as whole processes: ours, the Python peers, and the floor, interleaved in one run.
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cli, findModel, peersPython, peersScript } from './models.mjs'
import { measure, median, printTable, spread } from './process.mjs'

/**
 * Compares one way of building with the peers' on each model, and prints a table.
 *
 * @param settings `name`, `ours` (arguments of `build`), `peers` (by label: the job of peers.py and its arguments)
 */
export async function benchBuilds(settings, { runs, names }) {
  const [python, script] = [peersPython(), peersScript()]
  if (!python || !script)
    console.log(
      'Python peer: skipped, set PEERS_PYTHON to an interpreter with its requirements and keep ../shared/peers',
    )
  const folder = mkdtempSync(join(tmpdir(), 'unplugin-onnx-bench-'))
  try {
    writeFileSync(join(folder, 'package.json'), '{}')
    for (const name of names.length > 0 ? names : ['minilm', 'bert-base']) {
      const model = findModel(name)
      if (!model) continue
      for (const setting of settings) await compare(name, model, setting, { folder, runs, python, script })
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function compare(name, model, setting, { folder, runs, python, script }) {
  const out = join(folder, 'out')
  mkdirSync(out, { recursive: true })
  const build = () =>
    measure(process.execPath, [cli, 'build', model, ...setting.ours, '-o', out, '--json'], { cwd: folder })
  const first = JSON.parse((await build()).output)[0]
  const contenders = {
    floor: () =>
      measure(process.execPath, [
        join(import.meta.dirname, '../floor.mjs'),
        model,
        join(folder, 'floor.bin'),
        String(first.bytesAfter),
      ]),
    ours: () => {
      rmSync(join(folder, 'node_modules'), { recursive: true, force: true })
      return build()
    },
    ...Object.fromEntries(
      Object.entries(python && script ? setting.peers : {}).map(([label, [job, ...args]]) => [
        label,
        () => measure(python, [script, job, model, join(folder, 'peer.onnx'), ...args]),
      ]),
    ),
  }
  const results = Object.fromEntries(Object.keys(contenders).map((key) => [key, []]))
  for (let i = 0; i < runs; i++) for (const [key, job] of Object.entries(contenders)) results[key].push(await job())
  const bytes = statSync(model).size
  console.log(
    `\n${name}, ${(bytes / 1e6).toFixed(0)} MB -> ${(first.bytesAfter / 1e6).toFixed(1)} MB, ${setting.name}, ${runs} runs: median (min-max)`,
  )
  const times = (key) => results[key].map(({ seconds }) => seconds)
  const peaks = (key) => results[key].map(({ peakBytes }) => peakBytes / 1e6)
  printTable([
    ['', 'time', 'times ours', 'on processors', 'peak memory', 'of the file', 'times ours'],
    ...Object.keys(results).map((key) => [
      key,
      spread(times(key)),
      `${(median(times(key)) / median(times('ours'))).toFixed(2)}x`,
      `${median(results[key].map(({ cpuSeconds }) => cpuSeconds)).toFixed(2)} s`,
      spread(peaks(key), 'MB', 0),
      `${(median(peaks(key)) / (bytes / 1e6)).toFixed(2)}x`,
      `${(median(peaks(key)) / median(peaks('ours'))).toFixed(2)}x`,
    ]),
  ])
}
