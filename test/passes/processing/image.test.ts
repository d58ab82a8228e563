import { describe, expect, test } from 'vitest'
import { crop, imagenet, normalize, picture, resize } from '../../../bench/support/pixels.mjs'
import { apart, evaluate, passingOn, pixels, process } from './support.ts'

/** Values from 0 to 1 differ by one step of a byte at most. */
const STEP = 1 / 255 + 1e-6
const photo = picture(517, 389)

describe('images, compared with plain JavaScript', () => {
  test('imagenet: resize, crop, normalize', async () => {
    const model = passingOn(['batch', 3, 224, 224])
    await process(model, { preprocess: 'imagenet' })
    const { y } = await evaluate(model, { x: pixels(photo) })
    expect(y!.dims).toEqual([1, 3, 224, 224])
    for (const node of model.graph.nodes()) expect(node.outputs.every((value) => value?.isUnused)).toBe(false)
    const expected = imagenet(photo)
    // In units of the normalized values a step of a byte is 1 / 255 / std.
    expect(apart(y!.toNumbers(), expected) * 0.225).toBeLessThanOrEqual(STEP)
  })

  test.each(['linear', 'cubic'] as const)(
    '%s resize down and up, without regard to proportions',
    async (interpolation) => {
      for (const size of [
        [97, 211],
        [600, 777],
      ] as const) {
        const model = passingOn([1, 3, 'h', 'w'])
        await process(model, { preprocess: { step: 'image', size, fit: 'stretch', interpolation } })
        const { y } = await evaluate(model, { x: pixels(photo) })
        const expected = normalize(resize(photo, size[0], size[1], interpolation), [0, 0, 0], [1, 1, 1])
        expect(apart(y!.toNumbers(), expected)).toBeLessThanOrEqual(STEP)
      }
    },
  )

  test('nearest takes the pixel under the middle', async () => {
    const model = passingOn([1, 'h', 'w', 3], { dtype: 'uint8' })
    await process(model, { preprocess: 'image(size:[50,60],fit:stretch,interpolation:nearest,scale:1)' })
    const { y } = await evaluate(model, { x: pixels(photo) })
    const expected = Array.from({ length: 50 * 60 * 3 }, (_, i) => {
      const [row, column, channel] = [Math.floor(i / 180), Math.floor(i / 3) % 60, i % 3]
      const at = Math.floor((row + 0.5) * (389 / 50)) * 517 + Math.floor((column + 0.5) * (517 / 60))
      return photo.data[at * 4 + channel]!
    })
    expect(y!.toNumbers()).toEqual(expected)
  })

  test('bytes for a model that takes bytes, with channels last', async () => {
    const model = passingOn([1, 64, 80, 3], { dtype: 'uint8' })
    await process(model, { preprocess: 'image(scale:1)' })
    const { y } = await evaluate(model, { x: pixels(photo) })
    const ratio = Math.max(64 / 389, 80 / 517)
    const expected = crop(resize(photo, Math.round(389 * ratio), Math.round(517 * ratio)), 64, 80)
    expect(apart(y!.toNumbers(), expected.data)).toBeLessThanOrEqual(1)
  })

  test('grey for a model with one channel; float16 where the model is', async () => {
    const model = passingOn(['n', 1, 28, 28], { dtype: 'float16' })
    await process(model, { preprocess: 'image' })
    const { y } = await evaluate(model, { x: pixels(photo) })
    expect(y!.dtype).toBe('float16')
    const { data } = crop(resize(photo, 28, Math.round(517 * (28 / 389))), 28, 28)
    const expected = Array.from({ length: 28 * 28 }, (_, i) => {
      return Math.round(0.299 * data[i * 3]! + 0.587 * data[i * 3 + 1]! + 0.114 * data[i * 3 + 2]!) / 255
    })
    // Half precision rounds besides.
    expect(apart(y!.toNumbers(), expected)).toBeLessThanOrEqual(STEP + 2 ** -11)
  })

  test('contain pads; three channels and BGR', async () => {
    const model = passingOn([1, 3, 64, 64])
    await process(model, { preprocess: 'image(fit:contain,fill:114,channels:bgr,scale:1)' })
    const rgb = { ...photo, data: photo.data.filter((_, i) => i % 4 < 3), channels: 3 }
    const { y } = await evaluate(model, { x: pixels(rgb) })
    const small = resize(photo, Math.round(389 * (64 / 517)), 64)
    const top = Math.floor((64 - small.height) / 2)
    const expected = new Float32Array(3 * 64 * 64).fill(114)
    small.data.forEach((value, i) => {
      const [row, column, channel] = [Math.floor(i / 192), Math.floor(i / 3) % 64, i % 3]
      expected[(2 - channel) * 4096 + (row + top) * 64 + column] = value
    })
    expect(apart(y!.toNumbers(), expected)).toBeLessThanOrEqual(1)
  })

  test('the steps one by one are the same as the whole, in any spelling', async () => {
    const whole = passingOn([1, 3, 224, 224])
    await process(whole, { preprocess: { step: 'imagenet' } })
    const single = passingOn([1, 3, 224, 224])
    await process(single, {
      preprocess: [
        { Resize: { resize_to: 256 } },
        { CenterCrop: { height: 224, width: 224 } },
        'channels(rgb),image_bytes_to_float',
        { step: 'normalize', mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
        { ChannelsLastToChannelsFirst: {} },
        { Unsqueeze: { axes: [0] } },
      ],
    })
    const [a, b] = [await evaluate(whole, { x: pixels(photo) }), await evaluate(single, { x: pixels(photo) })]
    expect(apart(a['y']!.toNumbers(), b['y']!.toNumbers())).toBeLessThan(1e-5)
  })

  test('an older model is raised; what cannot be raised says so', async () => {
    const model = passingOn([1, 3, 32, 32], { opset: 11 })
    await process(model, { preprocess: 'image' })
    expect(model.opset).toBe(18)
    expect((await evaluate(model, { x: pixels(photo) }))['y']!.dims).toEqual([1, 3, 32, 32])
    const old = passingOn([1, 3, 32, 32], { opset: 6 })
    await expect(process(old, { preprocess: 'image' })).rejects.toMatchObject({ code: 'PROCESSING_OPSET' })
  })

  test('superresolution: brightness through the model, colours beside it', async () => {
    const model = passingOn([1, 1, 64, 96])
    await process(model, { toolCommand: 'superresolution' })
    const { image } = await evaluate(model, { x: pixels(photo) })
    expect(image!.dims).toEqual([64, 96, 3])
    const ratio = Math.max(64 / 389, 96 / 517)
    const expected = crop(resize(photo, Math.round(389 * ratio), Math.round(517 * ratio), 'cubic'), 64, 96)
    // Colours are rounded to bytes on the way to YCbCr, and its blue has a factor of 1.77.
    expect(apart(image!.toNumbers(), expected.data)).toBeLessThanOrEqual(3)
  })
})

test('arguments of a tool go to the steps that have them', async () => {
  const tool = passingOn([1, 3, 'h', 'w'])
  await process(tool, { toolCommand: 'mobilenet', toolCommandArgs: { resize_to: '40', crop_to: '32x36' } })
  expect((await evaluate(tool, { x: pixels(photo) }))['y']!.dims).toEqual([1, 3, 32, 36])
  for (const [toolCommand, name] of [
    ['mobilenet', 'iou'],
    [undefined, 'size'],
  ] as const)
    await expect(
      process(passingOn([1, 3, 8, 8]), { ...(toolCommand ? { toolCommand } : {}), toolCommandArgs: { [name]: '1' } }),
    ).rejects.toMatchObject({ code: 'OPTION_UNKNOWN', what: expect.stringContaining(name) })
})

describe('what does not fit', () => {
  test.each([
    ['image(size:0)', [1, 3, 'h', 'w'], 'PROCESSING_SIZE', 'size'],
    ['image', [1, 3, 'h', 'w'], 'PROCESSING_STEPS', 'needs a size'],
    ['image(size:100)', [1, 3, 224, 224], 'PROCESSING_STEPS', 'takes 224x224'],
    ['image(channels:grey)', [1, 3, 224, 224], 'PROCESSING_STEPS', 'gives 1 channels (grey)'],
    ['image(mean:[1,2])', [1, 3, 224, 224], 'PROCESSING_STEPS', '2 numbers for 3 channels'],
    ['image', ['batch', 128], 'PROCESSING_INPUT', 'looks like an image'],
    ['image', [8, 3, 224, 224], 'PROCESSING_STEPS', 'takes 8 at once'],
    ['image(input:z)', [1, 3, 224, 224], 'PROCESSING_INPUT', 'no input "z"'],
    ['resize(256),argMax', [1, 3, 224, 224], 'PROCESSING_STEPS', "'resize' before it gives an image"],
    ['resize(256,policy:stretch),centerCrop(300)', [1, 3, 300, 300], 'PROCESSING_STEPS', "256x256, which 'resize'"],
    ['channels(grey),channels(rgb)', [1, 3, 8, 8], 'PROCESSING_STEPS', 'gives one channel'],
    ['resise(256)', [1, 3, 224, 224], 'OPTION_VALUE', "Did you mean 'resize'"],
    ['resize(sice:256)', [1, 3, 224, 224], 'OPTION_UNKNOWN', 'sice'],
    ['image(fit:covr)', [1, 3, 224, 224], 'OPTION_VALUE', "Did you mean 'cover'"],
  ] as const)('%s on %j', async (preprocess, dims, code, text) => {
    const failure = await process(passingOn(dims), { preprocess }).catch((error: Error) => error)
    expect(failure).toMatchObject({ code })
    expect((failure as Error).message).toContain(text)
  })
})
