// What it takes to switch adapters, against making a session, and what an adapter costs per run.
// Use: npm run bench -- adapters [--runs 50] [MODEL...]      (models with LoRA layers; default: tiny-lora tiny-lora-llama)
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { findModel } from './support/models.mjs'
import { median, printTable, spread } from './support/process.mjs'

export async function run({ runs, names }) {
  const { createOptimizer } = await import('../dist/api.js')
  const { adapters, defineModel, externalAdapters } = await import('../dist/runtime-node.js')
  const folder = mkdtempSync(join(tmpdir(), 'unplugin-onnx-bench-'))
  writeFileSync(join(folder, 'package.json'), '{}')
  const optimizer = createOptimizer({ root: folder, target: 'cpu' })
  const rows = [['adapters', 'as', 'session', 'first load', 'switch', 'switch / session', 'run without', 'run with']]
  const timed = async (list, task) => {
    const start = performance.now()
    const result = await task()
    list.push(performance.now() - start)
    return result
  }
  try {
    for (const name of names.length > 0 ? names : ['tiny-lora', 'tiny-lora-llama']) {
      const source = findModel(name)
      if (!source) continue
      for (const way of ['inputs', 'external']) {
        const { file, info, adapters: files } = await optimizer.transform(source, { adapters: way })
        const list = files.map(({ file: url, tensors, ...adapter }) => {
          return { ...adapter, url, tensors: tensors.map(({ offset, dims }) => [offset, ...dims]) }
        })
        const ort = () => import('onnxruntime-node')
        const set = way === 'inputs' ? adapters(info.adapterInputs, list) : externalAdapters(list[0].location, list)
        const model = defineModel([{ target: 'cpu', device: 'cpu', info, bytes: 0, url: file, ort, adapters: set }])
        const [create, load, change, without, withIt] = [[], [], [], [], []]
        for (let i = 0; i < runs; i++) {
          const session = await timed(create, () => model())
          const view = await timed(load, () => session.withAdapter(list[0].name))
          await timed(change, () => session.withAdapter(list[0].name))
          for (const one of [session, view]) await one.warmup()
          await timed(without, () => session.warmup())
          await timed(withIt, () => view.warmup())
          await session.dispose()
        }
        const share = `${((100 * median(change)) / median(create)).toFixed(3)} %`
        rows.push([name, way, spread(create, 'ms', 2), spread(load, 'ms', 3), spread(change, 'ms', 4), share])
        rows.at(-1).push(spread(without, 'ms', 3), spread(withIt, 'ms', 3))
      }
    }
    printTable(rows)
  } finally {
    await optimizer.close()
    rmSync(folder, { recursive: true, force: true })
  }
}
