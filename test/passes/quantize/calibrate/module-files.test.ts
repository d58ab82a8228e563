import { mkdirSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { expect, test } from 'vitest'
import { dataFiles } from '../../../../src/passes/quantize/calibrate/data/files.ts'
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

test('texts that are no files change nothing', () => {
  const text = `const s = ['..', '.', '/', '', 'input_ids', './nothing.npz', \`x\${1}\`, 'node_modules/a.js', 'file:///x']`
  expect(filesOf('feeds.js', { 'feeds.js': text, 'node_modules/a.js': '' })).toEqual(['feeds.js'])
})
