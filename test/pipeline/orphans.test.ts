import { existsSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { dataBeside, removeOrphans } from '../../src/pipeline/orphans.ts'
import { temporaryFolder } from '../support/temporary.ts'

function files() {
  const folder = temporaryFolder()
  const [model, data] = [join(folder, 'm.onnx'), join(folder, 'm.onnx_data')]
  writeFileSync(data, '')
  return { folder, model, data }
}

test('data goes with its model, but for what is in use or named otherwise', async () => {
  const { folder, model, data } = files()
  const other = join(folder, 'weights.bin')
  writeFileSync(other, '')
  expect(await removeOrphans(model, [data, other], new Set([data]))).toEqual([other])
  expect(existsSync(data)).toBe(true)
  expect(await removeOrphans(model, [data, other], new Set())).toEqual([other])
  expect([existsSync(data), existsSync(other)]).toEqual([false, true])
})

test('a model beside it that can not be read may need it: it stays, and nothing fails', async () => {
  const { folder, model, data } = files()
  symlinkSync(join(folder, 'nowhere'), join(folder, 'other.onnx'), 'junction')
  expect(await removeOrphans(model, [data], new Set())).toEqual([])
  expect(existsSync(data)).toBe(true)
})

test('what is no model names no data', async () => {
  const { model } = files()
  writeFileSync(model, 'location, but no model')
  expect(await dataBeside(model)).toEqual([])
})
