// What a cache hit adds to a build in one process, per model, and how many bytes the process reads for it.
// Use: npm run bench -- warm [--runs 20] [MODEL...]      (default: minilm bert-base)
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { findModel } from './support/models.mjs'
import { median, printTable, spread } from './support/process.mjs'

/** Bytes that this process asked the system to read so far; undefined where /proc does not tell. */
function bytesRead() {
  try {
    return Number(/^rchar: (\d+)/m.exec(readFileSync('/proc/self/io', 'utf8'))[1])
  } catch {
    return undefined
  }
}

export async function run({ runs, names }) {
  const { createOptimizer } = await import('../dist/api.js')
  const folder = mkdtempSync(join(tmpdir(), 'unplugin-onnx-bench-'))
  writeFileSync(join(folder, 'package.json'), '{}')
  const optimizer = createOptimizer({ root: folder })
  const rows = [['warm build', 'file', 'first hit', 'later hits', 'bytes read per hit']]
  try {
    for (const name of names.length > 0 ? names : ['minilm', 'bert-base']) {
      const file = findModel(name)
      if (!file) continue
      const build = () => optimizer.transform(file, { quantize: 'dynamic' })
      await build()
      const times = []
      const before = bytesRead()
      for (let i = 0; i < runs; i++) {
        const start = performance.now()
        const { report } = await build()
        times.push(performance.now() - start)
        if (report.cache !== 'hit') throw new Error(`expected a hit, got a ${report.cache}`)
      }
      const read = before === undefined ? 'unknown' : `${((bytesRead() - before) / runs / 1000).toFixed(0)} kB`
      const size = `${(statSync(file).size / 1e6).toFixed(0)} MB`
      rows.push([name, size, `${times[0].toFixed(1)} ms`, spread(times.slice(1), 'ms', 1), read])
      if (median(times) > 20) console.log(`${name}: a hit takes more than 20 ms`)
    }
    printTable(rows)
  } finally {
    await optimizer.close()
    rmSync(folder, { recursive: true, force: true })
  }
}
