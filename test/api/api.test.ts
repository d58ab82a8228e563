import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { createOptimizer, inspect, OnnxError, transform } from '../../src/api.ts'
import { writeLoraModel } from '../support/lora-model.ts'
import { temporaryFolder } from '../support/temporary.ts'

const digits = resolve(import.meta.dirname, '../../fixtures/digits-cnn.onnx')

test('transform into a file', async () => {
  const folder = temporaryFolder()
  const output = join(folder, 'dist/digits.onnx')
  const optimizer = createOptimizer({ root: folder })
  const result = await optimizer.transform(digits, { output })
  await optimizer.close()
  expect(result).toMatchObject({ file: output, external: [], report: { input: digits, output, cache: 'miss' } })
  expect(result.report.bytesAfter).toBe(readFileSync(output).length)
  expect(result.info.inputs).toMatchObject([{ name: 'image', dtype: 'float32' }])
})

test('without output the result is in the cache, and options layer as in the plugin', async () => {
  const folder = temporaryFolder()
  const optimizer = createOptimizer({ root: folder, cache: { dir: 'cached' }, presets: { mine: { dtype: 'fp32' } } })
  const { file } = await optimizer.transform(digits, { preset: ['mine'] })
  expect(existsSync(file)).toBe(true)
  expect(file.startsWith(join(folder, 'cached'))).toBe(true)
  await optimizer.close()
})

test('adapters are told apart from data files', async () => {
  const folder = temporaryFolder()
  const file = writeLoraModel(folder)
  const output = join(folder, 'out/small.onnx')
  const result = await transform(file, { adapters: 'inputs', adapterFormat: 'npz', output })
  expect(result.external).toEqual([])
  expect(result.adapters).toMatchObject([{ name: 'default', file: join(folder, 'out/small-default.npz') }])
  expect(result.adapters[0]!.bytes).toBe(readFileSync(result.adapters[0]!.file).length)
})

test('wrong options are OnnxErrors', async () => {
  await expect(transform(digits, { dtipe: 'q8' } as never)).rejects.toThrow(OnnxError)
  await expect(transform(digits, { dtipe: 'q8' } as never)).rejects.toThrow(/Did you mean `dtype`/)
  await expect(transform('/nowhere/at-all.onnx')).rejects.toThrow(OnnxError)
})

test('inspect', async () => {
  expect(await inspect(digits, { top: 2 })).toMatchObject({ file: digits, ops: { Conv: 6 }, largest: [{}, {}] })
})

test('several sizes do not fit into one file', async () => {
  const digits = resolve(import.meta.dirname, '../../fixtures/digits-cnn.onnx')
  await expect(transform(digits, { dim: { batch_size: '1;4' } })).rejects.toMatchObject({ code: 'OPTION_CONFLICT' })
})
