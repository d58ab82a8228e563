import { chmodSync, copyFileSync, existsSync, readFileSync, statSync } from 'node:fs'
import { join, resolve, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
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

test('what is no path and no options is an OnnxError', async () => {
  const refused = { name: 'OnnxError', code: 'OPTION_VALUE' }
  for (const file of [undefined, null, 5, '', Buffer.from('x'), new URL('https://x.org/m.onnx')])
    await expect(transform(file as never)).rejects.toMatchObject(refused)
  for (const options of [null, 'quantize=dynamic', []])
    await expect(transform(digits, options as never)).rejects.toMatchObject(refused)
  await expect(inspect(undefined as never)).rejects.toMatchObject(refused)
})

test('a model may be a file: URL', async () => {
  expect((await inspect(pathToFileURL(digits))).file).toBe(digits)
  const output = join(temporaryFolder(), 'a.onnx')
  expect((await transform(pathToFileURL(digits), { output })).report.input).toBe(digits)
})

test('settings of an optimizer are told from unknown options', async () => {
  for (const options of [{ cache: false }, { models: {} }, { root: '.' }, { targets: { a: { device: 'cpu' } } }])
    await expect(transform(digits, options as never)).rejects.toMatchObject({
      code: 'OPTION_UNKNOWN',
      hint: expect.stringContaining(`createOptimizer({ ${Object.keys(options)[0]}: `),
    })
  const error = await transform(digits, { zzzzzz: 1 } as never).catch((error: OnnxError) => error)
  expect((error as OnnxError).hint!.length).toBeLessThan(120)
})

test('an option that nothing reads is a note of its own request alone', async () => {
  const optimizer = createOptimizer({ root: temporaryFolder() })
  const codes = async (options: object): Promise<string[]> =>
    (await optimizer.transform(digits, options)).report.notes.map(({ code }) => code)
  expect(await codes({ bits: 8 })).toEqual(['option/unused'])
  expect(await codes({})).toEqual([])
  expect(await codes({ bits: 8 })).toEqual(['option/unused'])
  await optimizer.close()
})

test('a folder in the place of the result, and a file that an option names, are said to be that', async () => {
  const output = temporaryFolder()
  await expect(transform(digits, { output })).rejects.toMatchObject({
    code: 'OUTPUT_UNWRITABLE',
    what: expect.stringContaining('a folder of this name'),
  })
  for (const options of [{ verifyInputs: ['no.npz'] }, { quantize: 'auto', evaluate: 'no.js' }] as const)
    await expect(transform(digits, options)).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
      hint: expect.stringContaining("relative to the model's folder"),
    })
  await expect(transform(digits, { quantize: 'static', calibration: String.raw`a\b.npz` })).rejects.toThrow(
    sep === '/' ? /Write \/ between folders/ : /no such/,
  )
})

test('a copy of a read-only model may be written', async () => {
  const folder = temporaryFolder()
  const source = join(folder, 'm.onnx')
  copyFileSync(digits, source)
  chmodSync(source, 0o444)
  const optimizer = createOptimizer({ root: folder })
  const { file } = await optimizer.transform(source, { optimize: 'none', output: join(folder, 'out/m.onnx') })
  await optimizer.close()
  expect(statSync(file).mode & 0o200).toBe(0o200)
})

test('inspect', async () => {
  expect(await inspect(digits, { top: 2 })).toMatchObject({ file: digits, ops: { Conv: 6 }, largest: [{}, {}] })
})

test('several sizes do not fit into one file', async () => {
  const digits = resolve(import.meta.dirname, '../../fixtures/digits-cnn.onnx')
  await expect(transform(digits, { dim: { batch_size: '1;4' } })).rejects.toMatchObject({ code: 'OPTION_CONFLICT' })
})
