import { mkdirSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { expect, test } from 'vitest'
import { dataFiles } from '../../../../src/passes/quantize/calibrate/data/files.ts'
import { openData } from '../../../../src/passes/quantize/calibrate/data/index.ts'
import { buildModel } from '../../../support/models.ts'
import { temporaryFolder } from '../../../support/temporary.ts'

function filesOf(entry: string, files: Record<string, string>): string[] {
  const folder = temporaryFolder()
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(folder, name, '..'), { recursive: true })
    writeFileSync(join(folder, name), content)
  }
  return dataFiles(join(folder, entry), join(folder, 'model.onnx'))
    .map((file) => relative(folder, file))
    .sort()
}

test('a module depends on what it imports and reads, and what that imports', () => {
  const files = {
    'lib/feeds.mjs': `
      import { tokens } from '../tokens.mjs'
      export { more } from "./more.js"
      const array = readNpz(new URL('./data.npz', import.meta.url))
      const table = readFileSync(join(import.meta.dirname, 'table.bin'))
      export default async () => (await import('./late.mjs')).feeds`,
    'tokens.mjs': `import sharp from 'sharp'; import words from './words.json' with { type: 'json' }`,
    'words.json': '[]',
    'lib/more.js': `const a = require('./a'); const all = './pictures/'`,
    'lib/a.cjs': `import './feeds.mjs' // a circle`,
    'lib/late.mjs': '',
    'lib/data.npz': '',
    'lib/table.bin': '',
    'lib/pictures/1.png': '',
    'lib/pictures/below/2.png': '',
    'lib/unused.npz': '',
  }
  const used = Object.keys(files).filter((name) => name !== 'lib/unused.npz')
  expect(filesOf('lib/feeds.mjs', files)).toEqual(used.sort())
})

test('what a module imports may change while the process lives', async () => {
  const folder = temporaryFolder()
  const model = buildModel(17, (graph, input) => [
    graph.insert({ op: 'Identity', inputs: [input('x', [1, 2])] }).output(),
  ])
  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text)
  write(
    'data.mjs',
    `import { rows } from './rows.mjs'\nexport default function* () { for (const x of rows) yield { x } }`,
  )
  const read = async (most?: number): Promise<number[][]> => {
    const found: number[][] = []
    const options = { calibration: join(folder, 'data.mjs'), calibrationSamples: most }
    for await (const { x } of openData(model, options).open()) found.push(x!.toNumbers())
    return found
  }
  write('rows.mjs', `export const rows = [[[1, 2]]]`)
  expect(await read()).toEqual([[1, 2]])
  write(
    'rows.mjs',
    `export const rows = [Float32Array.of(3, 4), { type: 'float32', dims: [1, 2], data: Float32Array.of(5, 6) }]`,
  )
  expect(await read()).toEqual([
    [3, 4],
    [5, 6],
  ])
  expect(await read(1)).toEqual([[3, 4]])
  write('rows.mjs', `export const rows = (function* () { yield [[7, 8]]; throw new Error('disk gone') })()`)
  await expect(read()).rejects.toThrow(/failed at sample 1: disk gone/)
  write('rows.mjs', `export const rows = []\nthrow new Error('no network')`)
  await expect(read()).rejects.toThrow(/no network/)
  write('rows.mjs', `export const rows = []\nprocess.exit(0) // in a thread of its own by now`)
  await expect(read()).rejects.toThrow(/process\.exit\(0\)/)
})

test('texts that are no files change nothing', () => {
  const text = `const s = ['..', '.', '/', '', 'input_ids', './nothing.npz', \`x\${1}\`, 'node_modules/a.js', 'file:///x']`
  expect(filesOf('feeds.js', { 'feeds.js': text, 'node_modules/a.js': '' })).toEqual(['feeds.js'])
})
