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
