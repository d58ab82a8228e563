import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Model } from '../../src/graph/model.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import { writeModel } from '../../src/graph/write.ts'
import { encodeTensor } from '../../src/onnx/encode.ts'
import { draw } from '../support/rules.ts'
import { cli } from './support.ts'

let folder: string

const save = (name: string, model: Model): Promise<unknown> =>
  writeModel(model, join(folder, name), { location: `${name}_data` })

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'precision-'))
  writeFileSync(join(folder, 'package.json'), '{}')
  copyFileSync(resolve(import.meta.dirname, '../../fixtures/digits-cnn.onnx'), join(folder, 'digits.onnx'))
  const image = Tensor.float32([1, 3, 9, 9], new Float32Array(243))
  writeFileSync(join(folder, 'other-shape.pb'), encodeTensor(image.toProto('image')))
  writeFileSync(join(folder, 'other-name.pb'), encodeTensor(image.toProto('picture')))
  writeFileSync(join(folder, 'damaged.npz'), 'PK no archive')
  writeFileSync(join(folder, 'throws.mjs'), "export default () => { throw new Error('no idea') }")
  writeFileSync(join(folder, 'never.mjs'), 'export default () => false')
  await save(
    'unknown.onnx',
    await draw(({ graph, input, op, weight }) => {
      graph.model.useDomain('elsewhere')
      const x = op.MatMul(input('x', ['n', 4]), weight([4, 4]))
      return graph.insert({ op: 'Mystery', domain: 'elsewhere', inputs: [x] }).output()
    }),
  )
  await save('integers.onnx', await draw(({ input, op }) => op.Add(input('x', [2], 'int64'), input('y', [2], 'int64'))))
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('what does not fit is told in words, and nothing is written', () => {
  test.each([
    ['--mixed-inputs', 'other-name.pb', /INPUTS_INVALID.*no array "image".*the file has picture/s],
    ['--mixed-inputs', 'other-shape.pb', /INPUTS_INVALID.*\[1,3,9,9\], the model takes \[batch_size,1,8,8\]/s],
    ['--mixed-inputs', 'damaged.npz', /NPY_INVALID.*no sound .npz/s],
    ['--mixed-inputs', 'nowhere.npz', /there is no such file/],
    ['--mixed-validate', 'throws.mjs', /VALIDATE_THREW.*no idea/s],
    ['--mixed-validate', 'nowhere.mjs', /there is no such file/],
    ['--verify-inputs', 'other-shape.pb', /INPUTS_INVALID/],
  ])('%s %s', async (flag, file, message) => {
    const { code, err } = await cli(folder, 'build', 'digits.onnx', '--precision', 'mixed', flag, file, '-o', 'bad')
    expect([code, err]).toEqual([1, expect.stringMatching(message)])
    expect(existsSync(join(folder, 'bad'))).toBe(false)
  })

  test('an operator that ONNX Runtime does not know: float16 goes around it, mixed and verify say why they can not', async () => {
    const plain = await cli(folder, 'build', 'unknown.onnx', '--precision', 'float16', '-o', 'unknown')
    expect([plain.code, plain.err]).toEqual([0, ''])
    for (const flags of [
      ['--precision', 'mixed'],
      ['--precision', 'float16', '--verify'],
    ]) {
      const { code, err } = await cli(folder, 'build', 'unknown.onnx', ...flags, '-o', 'unknown-too')
      expect([code, err]).toEqual([1, expect.stringMatching(/ORT_REFUSED.*elsewhere:Mystery/s)])
      expect(err).not.toContain('tmp/unplugin-onnx')
    }
  })
})

test('a function that never accepts is an error, and nothing is written', async () => {
  const args = ['build', 'digits.onnx', '--precision', 'mixed', '--mixed-validate', 'never.mjs', '-o', 'never']
  const { code, err } = await cli(folder, ...args)
  expect([code, err]).toEqual([1, expect.stringContaining('MIXED_NEVER_PASSES')])
  expect(existsSync(join(folder, 'never'))).toBe(false)
})

describe('what can not be made better stays as it is', () => {
  const bytesOf = (name: string): Buffer => readFileSync(join(folder, name))

  test('models of integers, and those that are float16 already', async () => {
    await cli(folder, 'build', 'digits.onnx', '--precision', 'float16', '-o', 'half')
    for (const precision of ['float16', 'mixed']) {
      const again = await cli(
        folder,
        ...['build', 'half/digits.onnx', 'integers.onnx', '--precision', precision, '--verify', '-o', precision],
      )
      expect([again.code, again.err]).toEqual([0, ''])
      expect(bytesOf(`${precision}/digits.onnx`)).toEqual(bytesOf('half/digits.onnx'))
      expect(bytesOf(`${precision}/integers.onnx`)).toEqual(bytesOf('integers.onnx'))
    }
  })

  test('quantized models are converted around their integers', async () => {
    await cli(folder, 'build', 'digits.onnx', '--dtype', 'q8', '-o', 'q8')
    const { code, out } = await cli(
      folder,
      ...['build', 'q8/digits.onnx', '--precision', 'float16', '--verify-cosine', '0.999', '-o', 'q8f16'],
    )
    expect([code, out]).toEqual([0, expect.stringContaining('verified on 4 inputs')])
  })
})
