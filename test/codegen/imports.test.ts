import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { findImports, modelSpecifiers } from '../../src/codegen/imports.ts'
import { temporaryFolder } from '../support/temporary.ts'

describe('specifiers of models in a source', () => {
  test.each([
    [`import a from './a.onnx'`, './a.onnx', ''],
    [`import a from "./my model é.onnx?dtype=q8&as=url"`, './my model é.onnx', 'dtype=q8&as=url'],
    [`new URL('./a.onnx', import.meta.url)`, './a.onnx', ''],
    [`const a = require('@/models/a.onnx')`, '@/models/a.onnx', ''],
  ])('%s', (code, specifier, query) => {
    expect(modelSpecifiers(code)).toEqual([{ specifier, query }])
  })

  test.each([
    `const bytes = require('fs').readFileSync('models/a.onnx')`,
    `import fs from 'fs'; fs.readFileSync('a.onnx')`,
    `new URL('https://example.org/a.onnx')`,
    `new URL('file:///models/a.onnx')`,
    `const name = 'a.onnx'`,
  ])('none in %s', (code) => {
    expect(modelSpecifiers(code)).toEqual([])
  })
})

test('models of the project, of aliased folders and of packages', async () => {
  const root = temporaryFolder()
  const packaged = join(root, 'node_modules/some-models')
  for (const folder of [join(root, 'src/models'), packaged]) mkdirSync(folder, { recursive: true })
  writeFileSync(join(packaged, 'package.json'), '{ "name": "some-models", "exports": { "./*": "./*" } }')
  for (const file of ['src/models/a.onnx', 'src/model.onnx', 'node_modules/some-models/model.onnx'])
    writeFileSync(join(root, file), '')
  writeFileSync(
    join(root, 'src/main.ts'),
    "import a from '@/models/a.onnx'\nimport b from 'some-models/model.onnx?dtype=q8'\nimport c from 'absent/b.onnx'\n",
  )
  const { imports, problems } = await findImports(root, [])
  const importSite = join('src', 'main.ts')
  expect(imports).toEqual([
    { file: join(root, 'src/models/a.onnx'), query: '', importSite },
    { file: join(packaged, 'model.onnx'), query: 'dtype=q8', importSite },
  ])
  expect(problems).toEqual([`${importSite} imports 'absent/b.onnx', which is not in the project`])
})
