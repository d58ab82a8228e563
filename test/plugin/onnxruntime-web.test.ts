import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { OnnxError } from '../../src/onnx/errors.ts'
import { findWebRuntime } from '../../src/plugin/onnxruntime-web.ts'

const root = resolve(import.meta.dirname, '../..')

test.each(['onnxruntime-web/wasm', 'onnxruntime-web/webgpu'])('%s: the files that its entry loads', (specifier) => {
  const { entry, mjs, wasm } = findWebRuntime(specifier, root)
  expect(readFileSync(entry, 'utf8')).toContain(mjs.name)
  expect(readFileSync(mjs.file, 'utf8')).toContain(wasm.name)
  expect(readFileSync(wasm.file).subarray(0, 4).toString('latin1')).toBe('\0asm')
  expect(basename(mjs.file)).toBe(mjs.name)
})

test('names of another version are read from its package', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ort-'))
  const dist = join(folder, 'node_modules/onnxruntime-web/dist')
  mkdirSync(dist, { recursive: true })
  const entry = { import: { 'onnxruntime-web-use-extern-wasm': './dist/next.mjs' }, require: './dist/next.js' }
  writeFileSync(
    join(dist, '../package.json'),
    JSON.stringify({ name: 'onnxruntime-web', exports: { './wasm': entry } }),
  )
  writeFileSync(join(dist, 'next.js'), '')
  writeFileSync(join(dist, 'next.mjs'), 'x="ort-wasm-next.mjs"')
  writeFileSync(join(dist, 'ort-wasm-next.mjs'), 'new URL("ort-wasm-next.relaxed.wasm",import.meta.url)')
  writeFileSync(join(dist, 'ort-wasm-next.relaxed.wasm'), '')
  expect(findWebRuntime('onnxruntime-web/wasm', folder).wasm.name).toBe('ort-wasm-next.relaxed.wasm')
  expect(() => findWebRuntime('onnxruntime-web/webgpu', folder)).toThrow(OnnxError)
})

test('a project without the package is told what to install', () => {
  expect(() => findWebRuntime('onnxruntime-web/wasm', mkdtempSync(join(tmpdir(), 'ort-')))).toThrow(
    /npm install onnxruntime-web/,
  )
})
