import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { modelSpecifiers } from '../../src/codegen/imports.ts'
import { temporaryFolder } from '../support/temporary.ts'
import { cli } from './support.ts'

const digits = resolve(import.meta.dirname, '../../fixtures/digits-cnn.onnx')

function project(files: Record<string, string>): string {
  const folder = temporaryFolder()
  for (const [name, text] of Object.entries({ 'package.json': '{}', ...files })) {
    mkdirSync(join(folder, name, '..'), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  mkdirSync(join(folder, 'models'), { recursive: true })
  copyFileSync(digits, join(folder, 'models/digits.onnx'))
  return folder
}

test('inspect --explain tells what would be fused, and what stopped rules elsewhere', async () => {
  const vit = join(import.meta.dirname, '../../fixtures/digits-vit.onnx')
  const { code, out } = await cli('/', 'inspect', vit, '--explain')
  expect(code).toBe(0)
  expect(out).toContain('looks like vit')
  expect(out).toContain('Attention: 3 of 3 fused')
  const { fusion } = JSON.parse((await cli('/', 'inspect', vit, '--explain', '--device', 'webnn', '--json')).out)
  expect(fusion).toMatchObject({ device: 'webnn', modelType: 'vit', attention: { fused: 3, left: 0 }, notes: [] })
  expect(fusion.nodes.after).toBeLessThan(fusion.nodes.before)
  expect(fusion.nearMisses[0]).toMatchObject({ rule: expect.any(String), message: expect.any(String) })
})

test('inspect as text and as JSON', async () => {
  const { code, out } = await cli('/', 'inspect', digits)
  expect(code).toBe(0)
  expect(out).toMatch(/\d+ kB, [\d,]+ parameters, \d+ nodes/)
  expect(out).toMatch(/Inputs\n +\S+ +float32\[/)
  expect(out).toMatch(/Operators\n.*Conv 6/)
  const json = JSON.parse((await cli('/', 'inspect', digits, '--json', '--top', '1')).out)
  expect(json).toMatchObject({ file: digits, bytes: readFileSync(digits).length, ops: { Conv: 6 } })
  expect(json.largest).toHaveLength(1)
})

test('cache: ls, prune, clear', async () => {
  const folder = project({})
  await cli(folder, 'build', 'models/digits.onnx')
  const ls = async () => JSON.parse((await cli(folder, 'cache', 'ls', '--json')).out).entries
  expect(await ls()).toMatchObject([{ name: 'digits.onnx', bytes: expect.any(Number) }])
  expect((await cli(folder, 'cache', 'ls')).out).toMatch(/digits\.onnx\n1 entry, /)
  expect((await cli(folder, 'cache', 'prune')).out).toContain('removed 0 of 1 entries')
  expect((await cli(folder, 'cache', 'prune', '--max-bytes', '0')).out).toContain('removed 1 of 1 entries')
  await cli(folder, 'build', 'models/digits.onnx')
  expect(JSON.parse((await cli(folder, 'cache', 'clear', '--json')).out).removed).toHaveLength(1)
  expect(await ls()).toEqual([])
})

test('sync writes the types of all imports, and --check tells when they are stale', async () => {
  const folder = project({
    'src/main.ts': `import a from '../models/digits.onnx'\nimport b from "../models/digits.onnx?as=url"`,
    'src/app.vue': `<script setup>\nconst m = import('@/models/digits.onnx?dtype=fp32')\n</script>`,
    'node_modules/x/index.js': `import m from './none.onnx'`,
  })
  expect((await cli(folder, 'sync', '--check')).code).toBe(1)
  const { code, out } = await cli(folder, 'sync')
  expect({ code, out }).toEqual({ code: 0, out: 'onnx-models.d.ts: 3 imports, written' })
  const types = readFileSync(join(folder, 'onnx-models.d.ts'), 'utf8')
  for (const query of ['', '?as=url', '?dtype=fp32']) expect(types).toContain(`declare module '*/digits.onnx${query}'`)
  expect((await cli(folder, 'sync')).out).toContain('up to date')
  expect((await cli(folder, 'sync', '--check')).code).toBe(0)
})

test('sync: a wrong option fails with its place, an unknown model warns', async () => {
  const folder = project({
    'a.ts': `import a from './models/digits.onnx?dtipe=q8'`,
    'b.ts': `import b from './models/gone.onnx'`,
  })
  const { code, err } = await cli(folder, 'sync')
  expect(code).toBe(1)
  expect(err).toMatch(/warning: b\.ts imports '\.\/models\/gone\.onnx'/)
  expect(err).toMatch(/`dtipe`[\s\S]*imported by a\.ts/)
})

test.each([
  [`import m from './a.onnx'`, [['./a.onnx', '']]],
  [`import m from "./a.onnx?x=1&y"`, [['./a.onnx', 'x=1&y']]],
  [
    `export { default } from '../b/a.onnx'; const n = await import('./n.onnx?as=url')`,
    [
      ['../b/a.onnx', ''],
      ['./n.onnx', 'as=url'],
    ],
  ],
  [
    `new URL('./m.onnx', import.meta.url); require("./r.onnx")`,
    [
      ['./m.onnx', ''],
      ['./r.onnx', ''],
    ],
  ],
  [`const text = 'see a.onnx'; import x from './a.js' // a.onnx`, []],
  [`import a from './a.js'\nconst b = './b.onnx'`, []],
])('specifiers in %s', (code, expected) => {
  expect(modelSpecifiers(code).map(({ specifier, query }) => [specifier, query])).toEqual(expected)
})
