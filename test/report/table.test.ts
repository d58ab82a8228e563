import { stripVTControlCharacters } from 'node:util'
import { expect, test } from 'vitest'
import type { BuildReport } from '../../src/pipeline/types.ts'
import { buildJson, buildLine, buildTable, noteLines } from '../../src/report/index.ts'

const report = (over: Partial<BuildReport> = {}): BuildReport => ({
  input: '/app/src/models/bert.onnx',
  bytesBefore: 90_868_000,
  bytesAfter: 22_940_000,
  ms: 320.44,
  cache: 'miss',
  passes: [{ name: 'quantize', ms: 200, changes: 36 }],
  opsBefore: { MatMul: 48 },
  opsAfter: { MatMulInteger: 36, MatMul: 12 },
  fused: {},
  notes: [],
  ...over,
})

test('columns are aligned, and notes follow their model', () => {
  const rows = [
    { report: report({ fused: { Attention: 6, SkipLayerNormalization: 12, Gelu: 0 } }), label: '?fuse', target: 'web' },
    {
      report: report({
        input: '/elsewhere/cnn.onnx',
        bytesBefore: 12_345,
        bytesAfter: 12_345,
        ms: 3.21,
        cache: 'hit',
        notes: [
          { level: 'warn', code: 'a/b', message: 'Conv stays float', node: 'conv1' },
          { level: 'info', code: 'c/d', message: 'no images given' },
        ],
      }),
      target: 'gpu',
    },
  ]
  expect(buildTable(rows, { root: '/app' })).toMatchInlineSnapshot(`
    "model                      target   before    after           time  cache  changes      fused
    src/models/bert.onnx?fuse  web     90.9 MB  22.9 MB   25 %  320 ms  miss   quantize 36  SkipLayerNormalization 12, Attention 6
    cnn.onnx                   gpu     12.3 kB  12.3 kB  100 %  3.2 ms  hit    quantize 36
      ! Conv stays float (at conv1)
      - no images given"
  `)
})

test('builds that fuse tell how many nodes there are', () => {
  const passes = [{ name: 'fuse', ms: 5, changes: 3 }]
  expect(
    buildTable([
      { report: report({ passes, opsBefore: { Erf: 2, Mul: 9 }, opsAfter: { Gelu: 2 }, fused: { Gelu: 2 } }) },
    ]),
  ).toMatch(/changes +nodes +fused\n.*fuse 3 +11 → 2 +Gelu 2$/)
})

test('colours change the look and nothing else', () => {
  const rows = [{ report: report(), target: 'web' }, { report: report({ bytesAfter: 99_000_000, cache: 'hit' }) }]
  const coloured = buildTable(rows, { color: true })
  expect(coloured).toContain('\u001b[')
  expect(stripVTControlCharacters(coloured).replaceAll(/ +$/gm, '')).toBe(buildTable(rows))
})

test('columns that say nothing are left out', () => {
  expect(buildTable([{ report: report() }])).toMatchInlineSnapshot(`
    "model       before    after          time  cache  changes
    bert.onnx  90.9 MB  22.9 MB  25 %  320 ms  miss   quantize 36"
  `)
  expect(buildTable([])).toBe('')
})

test('adapters stand under their model', () => {
  const text = buildTable([{ report: report(), adapters: [{ name: 'sql', bytes: 5072 }] }, { report: report() }])
  expect(text.split('\n').slice(1)).toEqual([
    expect.stringContaining('bert.onnx'),
    '  - adapter "sql" 5.07 kB',
    expect.stringContaining('bert.onnx'),
  ])
})

test('many notes are cut', () => {
  const notes = Array.from({ length: 9 }, (_, i) => ({ level: 'info' as const, code: 'x', message: `note ${i}` }))
  const lines = buildTable([{ report: report({ notes }) }], { maxNotes: 2 }).split('\n')
  expect(lines.slice(2)).toEqual(['  - note 0', '  - note 1', '  ... and 7 more notes'])
})

test('one line per build for plain logs', () => {
  expect(buildLine({ report: report({ cache: 'hit' }), target: 'web' }, { root: '/app/' })).toBe(
    'src/models/bert.onnx [web]  90.9 MB -> 22.9 MB (25 %) in 320 ms, from the cache',
  )
})

test('JSON rows have a fixed order of keys', () => {
  const [row] = buildJson([{ report: report({ output: 'out.onnx' }), target: 'web' }])
  expect(Object.keys(row!)).toEqual(
    'input output target bytesBefore bytesAfter ms cache passes opsBefore opsAfter fused notes'.split(' '),
  )
  expect(row!.ms).toBe(320.4)
})

test('notes by level, each once', () => {
  const notes = [
    { level: 'warn' as const, code: 'a', message: 'Conv stays float', node: 'conv1' },
    { level: 'info' as const, code: 'b', message: 'no images given' },
  ]
  const reports = [report({ notes }), report({ notes })]
  expect(noteLines(reports, 'warn')).toEqual(['Conv stays float (at conv1)'])
  expect(noteLines(reports, 'info')).toEqual(['no images given'])
})
