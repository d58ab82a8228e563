import { copyFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { inspectError } from '../../src/api.ts'
import { temporaryFolder } from '../support/temporary.ts'
import { cli } from './support.ts'

/** A folder with a float model, `a.onnx`, and its statically quantized form, `q.onnx`. */
async function project(): Promise<string> {
  const folder = temporaryFolder()
  copyFileSync(resolve(import.meta.dirname, '../../fixtures/digits-cnn.onnx'), join(folder, 'a.onnx'))
  const image = (n: number): number[] => Array.from({ length: 64 }, (_, i) => ((i * 37 + n * 11) % 17) / 16)
  const feeds = [0, 1, 2, 3].map((n) => ({ image: { dims: [1, 1, 8, 8], data: image(n) } }))
  writeFileSync(join(folder, 'data.mjs'), `export default ${JSON.stringify(feeds)}`)
  const build = await cli(
    folder,
    'build',
    'a.onnx',
    '--quantize',
    'static',
    '--calibration',
    'data.mjs',
    '-o',
    'q.onnx',
  )
  expect([build.code, build.err]).toEqual([0, ''])
  return folder
}

test('inspect --error lists layers, activations and weights, the worst first', async () => {
  const folder = await project()
  const { code, out } = await cli(folder, 'inspect', 'q.onnx', '--error', 'a.onnx', '--samples', '2')
  expect(code).toBe(0)
  expect(out).toMatch(/Against .*a\.onnx, 2 samples/)
  expect(out).toMatch(/Layers by the noise they add\n {2}\d.* % +\w+ .*dB/)
  expect(out).toMatch(/Activations, the least like the float ones first\n {2}\d+\.\d dB/)
  expect(out).toMatch(/Weights\n {2}\d+\.\d dB +u?int8/)
})

test('as JSON and from JavaScript: the same report', async () => {
  const folder = await project()
  const { out } = await cli(folder, 'inspect', 'q.onnx', '--error', 'a.onnx', '--samples', '2', '--json')
  const report = await inspectError(join(folder, 'q.onnx'), join(folder, 'a.onnx'), { samples: 2 })
  expect(JSON.parse(out).error).toEqual(JSON.parse(JSON.stringify(report)))
})

test('a float model that is not there, or another one', async () => {
  const folder = await project()
  const { code, err } = await cli(folder, 'inspect', 'q.onnx', '--error', 'nothing.onnx')
  expect(code).not.toBe(0)
  expect(err).toContain('nothing.onnx')
})
