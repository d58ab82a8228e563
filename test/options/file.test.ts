import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { mergeOptions, optionsFile, readOptionsFile } from '../../src/options/file.ts'
import { temporaryFolder } from '../support/temporary.ts'

test('found in the folder by its name, or where the setting says', () => {
  const folder = temporaryFolder()
  expect(optionsFile(folder, undefined)).toBeUndefined()
  writeFileSync(join(folder, 'onnx.config.mjs'), '')
  expect(optionsFile(folder, undefined)).toBe(join(folder, 'onnx.config.mjs'))
  writeFileSync(join(folder, 'onnx.config.json'), '{}')
  expect(optionsFile(folder, undefined)).toBe(join(folder, 'onnx.config.json'))
  expect(optionsFile(folder, 'models/options.json')).toBe(join(folder, 'models/options.json'))
  expect(optionsFile(folder, false)).toBeUndefined()
})

test('JSON and modules, read anew after a change', async () => {
  const folder = temporaryFolder()
  const json = join(folder, 'a.json')
  const module = join(folder, 'a.mjs')
  const commonJs = join(folder, 'a.cjs')
  for (const dtype of ['q8', 'fp16']) {
    writeFileSync(json, JSON.stringify({ dtype }))
    writeFileSync(module, `export default { dtype: '${dtype}' }`)
    expect(await readOptionsFile(json)).toEqual({ dtype })
    writeFileSync(commonJs, `module.exports = { dtype: '${dtype}' }`)
    expect(await readOptionsFile(module)).toEqual({ dtype })
    expect(await readOptionsFile(commonJs)).toEqual({ dtype })
  }
  rmSync(json)
  await expect(readOptionsFile(json)).rejects.toMatchObject({ code: 'CONFIG_UNREADABLE', place: { file: json } })
})

test.each([
  ['a.json', '{', 'CONFIG_UNREADABLE'],
  ['a.json', '[]', 'CONFIG_UNREADABLE'],
  ['a.mjs', 'export const dtype = 1', 'CONFIG_UNREADABLE'],
  ['a.mjs', 'throw new Error("no")', 'CONFIG_UNREADABLE'],
  ['a.json', '{"root":"."}', 'OPTION_CONFLICT'],
  ['a.json', '{"config":"b.json"}', 'OPTION_CONFLICT'],
])('%s with %s is %s', async (name, text, code) => {
  const file = join(temporaryFolder(), name)
  writeFileSync(file, text)
  await expect(readOptionsFile(file)).rejects.toMatchObject({ code, place: { file } })
})

test('the own options are over those of the file; what has names is joined', () => {
  const file = { dtype: 'q8', targets: { a: { device: 'cpu' }, b: {} }, models: { x: { dtype: 'fp32' } } } as const
  const own = { dtype: 'fp16', targets: { b: { device: 'wasm' } }, presets: {} } as const
  expect(mergeOptions(file, own)).toEqual({
    dtype: 'fp16',
    targets: { a: { device: 'cpu' }, b: { device: 'wasm' } },
    models: file.models,
    presets: {},
  })
})
