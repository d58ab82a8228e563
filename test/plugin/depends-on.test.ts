import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { Models } from '../../src/plugin/models.ts'
import { temporaryFolder } from '../support/temporary.ts'

const digits = resolve(import.meta.dirname, '../../fixtures/digits-cnn.onnx')
const server = { kind: 'server' } as const
const image = [Array.from({ length: 8 }, () => Array(8).fill(3))]
const line = `${JSON.stringify({ image: [image] })}\n`

test('an import depends on what its options name, there or not', async () => {
  const root = temporaryFolder()
  copyFileSync(digits, join(root, 'a.onnx'))
  const models = new Models({ cache: false, dts: false }, root)
  const id = { file: join(root, 'a.onnx'), query: 'quantize=static&calibration=./data.jsonl' }
  const data = join(root, 'data.jsonl')
  const changes = (file: string) => models.dependsOn(id, server, file)
  expect(await changes(data)).toBe(false)
  expect(await models.needs(id, server)).toEqual([])
  await expect(models.build(id, server, 'main.js')).rejects.toMatchObject({ code: 'CALIBRATION_DATA' })
  expect(models.hasFailed(id, server)).toBe(true)
  expect(await changes(join(root, 'main.js'))).toBe(false)
  writeFileSync(data, 'no data')
  expect(await changes(data)).toBe(true)
  await expect(models.build(id, server, 'main.js')).rejects.toMatchObject({
    code: expect.stringMatching(/^CALIBRATION/),
  })
  writeFileSync(data, line)
  // Nothing appeared or went: the same file was mended.
  expect(await changes(data)).toBe(true)
  expect(await changes(join(root, 'main.js'))).toBe(false)
  await models.build(id, server, 'main.js')
  expect(models.hasFailed(id, server)).toBe(false)
  rmSync(data)
  expect(await changes(data)).toBe(true)
  await models.release()
})

test('all files of a folder count', async () => {
  const root = temporaryFolder()
  copyFileSync(digits, join(root, 'a.onnx'))
  mkdirSync(join(root, 'inputs'))
  writeFileSync(join(root, 'inputs/a.json'), line)
  const models = new Models({ cache: false, dts: false }, root)
  const id = { file: join(root, 'a.onnx'), query: 'quantize=dynamic&verify&verify_inputs=./inputs' }
  expect(await models.needs(id, server)).toEqual([join(root, 'inputs/a.json')])
  writeFileSync(join(root, 'inputs/b.json'), line)
  expect(await models.dependsOn(id, server, join(root, 'inputs/b.json'))).toBe(true)
  expect(await models.dependsOn(id, server, join(root, 'c.json'))).toBe(false)
})
