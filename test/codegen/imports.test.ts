import { describe, expect, test } from 'vitest'
import { modelSpecifiers } from '../../src/codegen/imports.ts'

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
