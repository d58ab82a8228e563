import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { readModel } from '../src/graph/import.ts'
import { modelToProto } from '../src/graph/export.ts'
import { encodeToBytes } from '../src/onnx/encode.ts'
import { propagateShapes } from '../src/graph/shapes.ts'
import { inferTypes } from '../src/ort/typing.ts'
import { openSession } from '../src/ort/session.ts'
import { rewrite } from '../src/rewrite/index.ts'
import { legalityOf } from '../src/rules/legality.ts'
import { phases } from './phases.ts'
import { readNpz } from './npz.ts'
const own = '/work/shared/models/own/'
let files = process.argv.slice(2).filter((a) => !a.startsWith('-'))
const verbose = process.argv.includes('-v')
if (!files.length) files = readdirSync(own).filter((f) => f.endsWith('.onnx')).map((f) => f.slice(0, -5))
for (const f of files) {
  try {
    const m = readModel(own + f + '.onnx')
    const before = m.graph.nodeCount
    await inferTypes(m); propagateShapes(m)
    const t = performance.now()
    const r = rewrite(m, phases, { strict: true, allows: legalityOf('cpu') })
    const ms = performance.now() - t
    const h = m.histogram()
    const golden = existsSync(own + 'golden/' + f + '.json') ? JSON.parse(readFileSync(own + 'golden/' + f + '.json', 'utf8')) : {}
    const want: Record<string, number> = {}
    for (const [k, v] of Object.entries<any>(golden.transformers ?? {})) for (const [op, n] of Object.entries<number>(v.fused_operator_statistics ?? {})) if (n) want[op] = Math.max(want[op] ?? 0, n)
    const session = await openSession(encodeToBytes(modelToProto(m)))
    let worst = 0
    for (const k of ['', '2', '3']) {
      const file = own + f + '-inputs' + k + '.npz'
      if (!existsSync(file)) continue
      const feeds = Object.fromEntries(readNpz(file)); const exp = readNpz(own + f + '-expected' + k + '.npz')
      const got = await session.run(feeds)
      for (const [n, e] of exp) { const g = got[n]!; if (!g) { console.log('missing', n, Object.keys(got)); continue }
        const a = g.toNumbers(), b = e.toNumbers(); let d = a.length === b.length ? 0 : Infinity
        for (let i = 0; i < b.length; i++) d = Math.max(d, Math.abs(a[i]! - b[i]!) / Math.max(1, Math.abs(b[i]!))); worst = Math.max(worst, d) }
    }
    await session.release()
    const got = Object.fromEntries(Object.keys(want).map((op) => [op, (h[op] ?? 0) + (h['com.microsoft:' + op] ?? 0)]))
    const diff = Object.keys(want).filter((op) => got[op]! < want[op]!).map((op) => `${op} ${got[op]}/${want[op]}`)
    console.log(f.padEnd(28), `${before}->${m.graph.nodeCount}`, worst.toExponential(1), ms.toFixed(0) + 'ms', JSON.stringify(r.counts), diff.length ? 'LESS: ' + diff.join(', ') : '')
    if (r.problems.length) console.log(r.problems)
    if (verbose) for (const x of r.nearMisses) console.log('    ', x.message)
    if (worst > 1e-4) console.log('  !!!!!!!!!!!')
  } catch (e) { console.log(f, 'ERROR', String((e as Error).stack).slice(0, 900)) }
}
