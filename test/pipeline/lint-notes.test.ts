import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { writeModel } from '../../src/graph/write.ts'
import { cli } from '../cli/support.ts'
import { draw } from '../support/rules.ts'
import { temporaryFolder } from '../support/temporary.ts'

test('a build for a GPU tells what slows the model down there, a build for the CPU does not', async () => {
  const folder = temporaryFolder()
  const model = await draw(({ input, op }) => op.Neg(op.Softsign(op.Exp(input('x', [2, 4])))))
  await writeModel(model, join(folder, 'm.onnx'), { location: 'm.onnx_data' })
  const notes = async (...args: string[]) => {
    const { out } = await cli(folder, 'build', 'm.onnx', '--json', '--no-cache', ...args)
    return JSON.parse(out)[0].notes.filter(({ code }: { code: string }) => code.startsWith('lint/'))
  }
  expect(await notes('--device', 'webgpu')).toEqual([
    expect.objectContaining({
      level: 'warn',
      code: 'lint/leaving',
      message: expect.stringMatching(/^webgpu: 1 operators without a kernel .*: Softsign. Cost: .* 1 tensor copied/),
      node: expect.stringContaining('Softsign'),
    }),
  ])
  expect(await notes()).toEqual([])
})

test('another version of onnxruntime-web renews what is told of its kernels', async () => {
  const folder = temporaryFolder()
  const installed = join(folder, 'node_modules/onnxruntime-web')
  mkdirSync(join(installed, 'docs'), { recursive: true })
  const install = (version: string, ...ops: string[]) => {
    writeFileSync(
      join(installed, 'package.json'),
      JSON.stringify({ name: 'onnxruntime-web', version, main: 'index.js' }),
    )
    writeFileSync(join(installed, 'index.js'), '')
    writeFileSync(join(installed, 'docs/webgpu-operators.md'), ops.map((op) => `| ${op} | ai.onnx(1+) | |\n`).join(''))
  }
  writeFileSync(join(folder, 'package.json'), '{}')
  const model = await draw(({ input, op }) => op.Neg(op.Softsign(op.Exp(input('x', [2, 4])))))
  await writeModel(model, join(folder, 'm.onnx'), { location: 'm.onnx_data' })
  const build = async (device: string) => {
    const { out } = await cli(folder, 'build', 'm.onnx', '--json', '--device', device)
    const [{ notes, cache }] = JSON.parse(out)
    return [cache, notes.some(({ message }: { message: string }) => / kernel .*: .*Softsign/.test(message))]
  }
  install('1.0.0', 'Neg', 'Exp')
  expect(await build('webgpu')).toEqual(['miss', true])
  expect(await build('webgpu')).toEqual(['hit', true])
  await build('cuda')
  install('1.1.0', 'Neg', 'Exp', 'Softsign')
  expect(await build('webgpu')).toEqual(['miss', false])
  expect((await build('cuda'))[0]).toBe('hit')
})
