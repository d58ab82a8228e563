import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { imagenet } from '../../../bench/support/pixels.mjs'
import { readModel } from '../../../src/graph/import.ts'
import { Tensor } from '../../../src/graph/tensor.ts'
import { createOrtService } from '../../../src/ort/service.ts'
import { hasShared, shared } from '../../support/shared.ts'
import { apart, passingOn, pixels, process } from './support.ts'

/** Rows of a label and as many bytes as an image has. */
function rows(file: string, length: number): { label: number; bytes: number[] }[] {
  return readFileSync(shared(`data/${file}`), 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const [label, ...bytes] = line.split(',').map(Number)
      return { label: label!, bytes: bytes.slice(0, length) }
    })
}

describe.skipIf(!hasShared)('real images and models', () => {
  test('photos of CIFAR-10, larger: within one step of a byte of plain JavaScript', async () => {
    const model = passingOn([1, 3, 224, 224])
    await process(model, { preprocess: 'imagenet' })
    const session = await createOrtService().open(model)
    for (const { bytes } of rows('cifar10/cifar10_test.csv', 3072)) {
      const image = { data: bytes, width: 32, height: 32, channels: 3 }
      const { y } = await session.run({ x: pixels(image) })
      expect(apart(y!.toNumbers(), imagenet(image)) * 0.229).toBeLessThanOrEqual(1 / 255 + 1e-6)
    }
    await session.release()
  })

  test.each([
    ['real/mnist-cntk.onnx', 'image(scale:1)', 1, 0, 0.95],
    ['real/mnist-pytorch-rten.onnx', 'image(mean:0.1307,std:0.3081)', 1 / 255 / 0.3081, -0.1307 / 0.3081, 0.8],
  ])('%s: the same classes as with floats made by hand', async (file, preprocess, factor, shift, accuracy) => {
    const service = createOrtService()
    const plain = readModel(shared(file))
    const [input] = plain.graph.inputs.filter(({ tensor }) => !tensor)
    const [output] = plain.graph.outputs
    const before = await service.open(shared(file))
    const model = readModel(shared(file))
    await process(model, { preprocess, postprocess: 'topK(1)' })
    const after = await service.open(model)
    let right = 0
    const digits = rows('mnist/mnist_test.csv', 784)
    for (const { label, bytes } of digits) {
      const floats = bytes.map((byte) => byte * factor + shift)
      const scores = (await before.run({ [input!.name]: Tensor.float32([1, 1, 28, 28], floats) }))[output!.name]!
      const image = { data: bytes.flatMap((byte) => [byte, byte, byte]), width: 28, height: 28, channels: 3 }
      const { classes } = await after.run({ [input!.name]: pixels(image) })
      const list = scores.toNumbers()
      expect(classes!.toNumbers()).toEqual([list.indexOf(Math.max(...list))])
      if (classes!.toNumbers()[0] === label) right++
    }
    expect(right / digits.length).toBeGreaterThan(accuracy)
    await Promise.all([before.release(), after.release()])
  })
})
