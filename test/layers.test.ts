import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { expect, test } from 'vitest'

/** Folders of src from the bottom up: a file may import its own folder and those of lower rows only. */
const LAYERS = [
  ['onnx', 'kernels', 'runtime', 'programs'],
  ['params'],
  ['graph'],
  ['ort'],
  ['measure'],
  ['rewrite'],
  ['rules'],
  ['lint'],
  ['passes'],
  ['options'],
  ['pipeline'],
  ['report', 'codegen'],
  ['plugin', 'cli'],
]
const rank = new Map(LAYERS.flatMap((folders, i) => folders.map((folder) => [folder, i] as const)))
const src = resolve(import.meta.dirname, '../src')

test('imports in src point downwards only', () => {
  const wrong: string[] = []
  for (const file of readdirSync(src, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts') || file.startsWith('kernels/assembly')) continue
    const from = file.split('/')[0]!
    if (!rank.has(from)) continue // src/api.ts and the like stand on top of everything
    for (const [, specifier] of readFileSync(join(src, file), 'utf8').matchAll(
      /(?:from|import\()\s*['"](\.[^'"]+)['"]/g,
    )) {
      const to = relative(src, resolve(dirname(join(src, file)), specifier!)).split('/')[0]!
      if (to !== from && !((rank.get(to) ?? Number.POSITIVE_INFINITY) < rank.get(from)!))
        wrong.push(`${file} -> ${specifier}`)
    }
  }
  expect(wrong).toEqual([])
})
