import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { Models } from '../../src/plugin/models.ts'
import { temporaryFolder } from '../support/temporary.ts'

const digits = resolve(import.meta.dirname, '../../fixtures/digits-cnn.onnx')
const client = { kind: 'client' } as const

test('an import is outdated when its options come to something else, or could not be built', async () => {
  const root = temporaryFolder()
  const file = join(root, 'onnx.config.json')
  copyFileSync(digits, join(root, 'a.onnx'))
  const models = new Models({ device: 'wasm', cache: false, dts: false }, root)
  const id = { file: join(root, 'a.onnx'), query: '' }
  const dtypeOf = async () => (await models.build(id, client, 'main.js')).variants[0]!.options.params['dtype']
  const write = async (options: object) => {
    writeFileSync(file, JSON.stringify(options))
    await models.refresh()
  }
  expect(models.isOutdated(id, client)).toBe(true)
  expect(await dtypeOf()).toBeUndefined()
  const before = models.identity()
  await write({ models: { 'b.onnx': { dtype: 'q8' } } })
  expect(models.isOutdated(id, client)).toBe(false)
  expect(models.identity()).not.toBe(before)
  await write({ models: { 'a.onnx': { dtype: 'fp32' } } })
  expect(models.isOutdated(id, client)).toBe(true)
  expect(await dtypeOf()).toBe('fp32')
  expect(models.isOutdated(id, client)).toBe(false)
  await expect(write({ dtpye: 'q8' })).rejects.toMatchObject({ code: 'OPTION_UNKNOWN', place: { file } })
  await expect(dtypeOf()).rejects.toMatchObject({
    code: 'OPTION_UNKNOWN',
    place: { file },
    hint: expect.stringContaining('dtype'),
  })
  await write({ models: { 'a.onnx': { dtype: 'fp32' } } })
  expect(models.isOutdated(id, client)).toBe(true)
  await models.release()
})

test('which files may be it', () => {
  const root = temporaryFolder()
  const models = new Models({}, root)
  expect(models.optionsFile).toBeUndefined()
  expect(models.isOptionsFile(join(root, 'onnx.config.ts'))).toBe(true)
  mkdirSync(join(root, 'x'))
  expect(models.isOptionsFile(join(root, 'x/onnx.config.ts'))).toBe(false)
  const named = new Models({ config: 'x/o.json' }, root)
  expect(named.optionsFile).toBe(join(root, 'x/o.json'))
  expect(named.isOptionsFile(join(root, 'x/o.json'))).toBe(true)
  expect(named.isOptionsFile(join(root, 'onnx.config.ts'))).toBe(false)
  expect(new Models({ config: false }, root).isOptionsFile(join(root, 'onnx.config.ts'))).toBe(false)
})
