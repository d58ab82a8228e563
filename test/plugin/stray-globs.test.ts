import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { rollup } from 'rollup'
import { expect, test, vi } from 'vitest'
import { unpluginOnnx } from '../../src/plugin/index.ts'
import { temporaryFolder } from '../support/temporary.ts'

const digits = resolve(import.meta.dirname, '../../fixtures/digits-cnn.onnx')

test('globs of `models` that fit nothing are told at the end of a build, once', async () => {
  const root = temporaryFolder()
  writeFileSync(join(root, 'package.json'), '{}')
  mkdirSync(join(root, 'server'))
  copyFileSync(digits, join(root, 'a.onnx'))
  copyFileSync(digits, join(root, 'server/b.onnx'))
  writeFileSync(join(root, 'main.js'), "export { default } from './a.onnx?as=info'")
  const models = { 'a*.onnx': {}, './a.onnx': {}, 'server/*': {}, 'c*.onnx': {}, 'b/**': {} }
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
  const plugins = [unpluginOnnx.rollup({ root, models, report: false, dts: false, target: 'node' })]
  const bundle = await rollup({ input: join(root, 'main.js'), plugins })
  await bundle.write({ dir: join(root, 'out') })
  await bundle.write({ dir: join(root, 'out2') })
  await bundle.close()
  const lines = warn.mock.calls.map(([line]) => String(line))
  warn.mockRestore()
  expect(lines.map((line) => /models\['(.*)'\]` fits no model/.exec(line)?.[1])).toEqual(['c*.onnx', 'b/**'])
})
