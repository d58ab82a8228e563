import { rmSync } from 'node:fs'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { imagenet, picture } from '../../bench/support/pixels.mjs'
import type { Model, Session } from '../../src/runtime/types.ts'
import { apart, passingOn } from '../passes/processing/support.ts'
import { chromiumPath } from '../support/chromium.ts'
import { buildModel, copyOf } from '../support/models.ts'
import { projectFolder } from './support/emitted.ts'
import { emitSteps, loadEmitted, withPage } from './support/steps.ts'

const folder = projectFolder()
afterAll(() => rmSync(folder, { recursive: true }))
const photo = picture(203, 157)
const expected = imagenet(photo)
/** One step of a byte, in normalized values. */
const STEP = (1 / 255 + 1e-6) / 0.224

/** A module of a model that hands on what its steps make of an image. */
function emit(runtime: 'web' | 'node'): Promise<string> {
  return emitSteps(folder, passingOn([1, 3, 224, 224]), { preprocess: 'imagenet' }, runtime)
}

/** A model that hands on what its steps make of several images. */
function emitSeveral(runtime: 'web' | 'node', preprocess = 'imagenet(batch:true)'): Promise<string> {
  return emitSteps(folder, passingOn(['batch', 3, 224, 224]), { preprocess }, runtime)
}
const second = picture(97, 211)

test('images and sound for inputs of their own', async () => {
  const graph = copyOf(
    buildModel(18, (body, input) => {
      const [left, right] = ['left', 'right'].map((name) => input(name, [1, 3, 8, 8]))
      const same = body.insert({ op: 'Identity', inputs: [input('wave', [1, 'n'])], outputs: ['sound'] }).output()
      return [body.insert({ op: 'Sub', inputs: [left!, right!], outputs: ['difference'] }).output(), same]
    }),
  )
  const preprocess = 'image(input:left),image(input:right,fit:stretch),audio(input:wave,normalize:true)'
  const model = await loadEmitted<Model>(folder, await emitSteps(folder, graph, { preprocess }, 'node'))
  expect(model.inputs.map(({ name, media }) => [name, media?.kind])).toEqual([
    ['left', 'image'],
    ['right', 'image'],
    ['wave', 'sound'],
  ])
  const session = await model()
  const even = (value: number) => ({ data: new Uint8Array(10 * 12 * 3).fill(value), width: 10, height: 12 })
  const y = await session.run({ left: even(200), right: even(73), wave: Float32Array.of(1, 2, 3, 6) } as never)
  expect(apart(y['difference']!.data as Float32Array, new Float32Array(192).fill(127 / 255))).toBeLessThan(1e-6)
  expect(
    apart(
      y['sound']!.data as Float32Array,
      [-2, -1, 0, 3].map((value) => value / Math.sqrt(3.5)),
    ),
  ).toBeLessThan(1e-5)
  await session.dispose()
})

describe('several images in Node', () => {
  let model: Model
  let session: Session
  beforeAll(async () => {
    model = await loadEmitted<Model>(folder, await emitSeveral('node'))
    session = await model()
  })
  afterAll(() => session.dispose())

  test('of any sizes, each as it would be alone; one is a batch of one', async () => {
    expect(model.inputs.map(({ name, media }) => [name, media])).toEqual([
      ['x', { kind: 'image', least: 27, sizes: 'x_sizes' }],
      ['x_sizes', undefined],
    ])
    const rgb = { data: second.data.filter((_, i) => i % 4 < 3), width: 97, height: 211 }
    const wanted = [photo, second, photo].flatMap((image) => [...imagenet(image)])
    for (const feed of [
      [photo, rgb, photo],
      { x: [photo, second, sharp(photo.data, { raw: { width: 203, height: 157, channels: 4 } })] },
    ]) {
      const { y } = await session.run(feed as never)
      expect(y!.dims).toEqual([3, 3, 224, 224])
      expect(apart(y!.data as Float32Array, wanted)).toBeLessThanOrEqual(STEP)
    }
    const { y } = await session.run(photo as never)
    expect(y!.dims).toEqual([1, 3, 224, 224])
    await session.warmup()
  })

  test.each([
    ['none', []],
    ['an empty one', [photo, { data: new Uint8Array(0), width: 0, height: 0 }]],
    ['something else', [photo, 7]],
  ])('%s is refused', async (_, images) => {
    await expect(session.run(images as never)).rejects.toMatchObject({ code: 'INPUT_IMAGE' })
  })

  test.each([
    ['image(batch:true)', [1, 3, 8, 8], 'takes one at once'],
    ['imageBytesToFloat,image(batch:true),audio', ['n', 3, 8, 8], 'takes samples of sound'],
    ['image(batch:true),debug', ['n', 3, 8, 8], 'shows nothing'],
    ['image(batch:true)', ['n', 3, 8, 8], 'takes what comes of one image', 'toImage'],
    ['image(batch:true)', ['n', 3, 8, 8], 'takes what comes of one image', 'detections'],
  ] as const)('%s on %j is refused', async (preprocess, dims, text, postprocess?: string) => {
    const steps = { preprocess, ...(postprocess ? { postprocess } : {}) }
    await expect(emitSteps(folder, passingOn(dims), steps, 'node')).rejects.toMatchObject({
      code: 'PROCESSING_STEPS',
      message: expect.stringContaining(text),
    })
  })
})

describe('in Node', () => {
  let session: Session
  beforeAll(async () => {
    const model = await loadEmitted<Model>(folder, await emit('node'))
    session = await model()
  })
  afterAll(() => session.dispose())
  const run = async (feed: unknown) => (await session.run(feed as never))['y']!.data as Float32Array

  test('bytes, with and without alpha, alone and by name', async () => {
    const rgb = { data: photo.data.filter((_, i) => i % 4 < 3), width: 203, height: 157 }
    for (const image of [photo, rgb, { ...photo, data: Uint8ClampedArray.from(photo.data) }])
      for (const feed of [image, { x: image }]) expect(apart(await run(feed), expected)).toBeLessThanOrEqual(STEP)
  })

  test('sharp: an image, and what it gives as raw bytes; grey is colours too', async () => {
    const png = await sharp(photo.data, { raw: { width: 203, height: 157, channels: 4 } })
      .png()
      .toBuffer()
    expect(apart(await run(sharp(png)), expected)).toBeLessThanOrEqual(STEP)
    const raw = await sharp(png).raw().toBuffer({ resolveWithObject: true })
    expect(apart(await run({ x: raw }), expected)).toBeLessThanOrEqual(STEP)
    const grey = await sharp(png).greyscale().png().toBuffer()
    expect((await run(sharp(grey))).length).toBe(expected.length)
  })

  test('files and their bytes are read by sharp, turned as they say', async () => {
    const raw = sharp(photo.data, { raw: { width: 203, height: 157, channels: 4 } })
    const png = await raw.clone().png().toBuffer()
    const own = new Uint8Array(png)
    for (const file of [png, own, own.buffer, new Blob([own])])
      expect(apart(await run(file), expected)).toBeLessThanOrEqual(STEP)
    // Orientation 6: shown turned to the right, so that what is stored lies to the left.
    const turned = await raw
      .clone()
      .rotate(270)
      .png()

      .toBuffer()
    const marked = await sharp(turned).withMetadata({ orientation: 6 }).png().toBuffer()
    expect(apart(await run(marked), expected)).toBeLessThanOrEqual(STEP)
  })

  test('several images, where one is taken, are refused; a session can be warmed up', async () => {
    await expect(run([photo, photo])).rejects.toMatchObject({ code: 'INPUT_IMAGE' })
    await session.warmup()
  })

  test('a tensor of bytes goes as it is', async () => {
    expect(apart(await run({ x: { data: photo.data, dims: [157, 203, 4] } }), expected)).toBeLessThanOrEqual(STEP)
  })

  test.each([
    ['no pixels', { data: new Uint8Array(0), width: 0, height: 10 }, 'INPUT_IMAGE', '0x10'],
    ['nothing at all', undefined, 'INPUT_MISSING', '"x" is missing'],
    ['null', null, 'INPUT_MISSING', '"x" is missing'],
    ['one channel', { data: new Uint8Array(100), width: 10, height: 10 }, 'INPUT_IMAGE', 'not 100 elements'],
    ['floats', { data: new Float32Array(300), width: 10, height: 10 }, 'INPUT_IMAGE', '3 or 4 bytes'],
    ['another object', { z: 1 }, 'INPUT_IMAGE', 'image'],
    ['nothing', {}, 'INPUT_MISSING', '"x" is missing'],
    ['bytes that are no file', Buffer.from('no image'), 'INPUT_IMAGE', 'no image'],
    ['a broken file', sharp(Buffer.from('no image')), 'INPUT_IMAGE', 'no image'],
  ])('%s is refused', async (_, feed, code, text) => {
    const failure = await run(feed).catch((error: Error) => error)
    expect(failure).toMatchObject({ code, message: expect.stringContaining(text) })
  })
})

declare function runAll(files: number[][]): Promise<{ dims: number[]; data: number[] }>
declare function run(png: number[], kind: string, target: string): Promise<{ data: number[]; target: string }>

describe.skipIf(!chromiumPath)('in Chromium', () => {
  test.each([
    [
      'web',
      ['file', 'bitmap', 'canvas', 'offscreen', 'imageData', 'frame', 'element', 'bytes', 'video', 'byName', 'encoded'],
    ],
    ['gpu', ['imageData']],
  ])('%s: %j', async (target, kinds) => {
    const app = `
      globalThis.run = async (bytes, kind, target) => {
        const file = new Blob([Uint8Array.from(bytes)], { type: 'image/png' })
        const bitmap = await createImageBitmap(file)
        const canvas = Object.assign(document.createElement('canvas'), { width: bitmap.width, height: bitmap.height })
        const context = canvas.getContext('2d')
        context.drawImage(bitmap, 0, 0)
        const make = {
          file: () => file,
          bitmap: () => bitmap,
          canvas: () => canvas,
          offscreen: () => { const copy = new OffscreenCanvas(canvas.width, canvas.height); copy.getContext('2d').drawImage(bitmap, 0, 0); return copy },
          bytes: () => { const { data } = context.getImageData(0, 0, canvas.width, canvas.height); return { data: new Uint8Array(data.buffer), width: canvas.width, height: canvas.height } },
          byName: () => ({ x: canvas }),
          encoded: () => Uint8Array.from(bytes),
          video: async () => {
            const video = Object.assign(document.createElement('video'), { muted: true, srcObject: canvas.captureStream(30) })
            // A captured canvas gives a frame when something is drawn.
            const timer = setInterval(() => context.drawImage(bitmap, 0, 0), 20)
            await video.play()
            while (video.readyState < 2) await new Promise((done) => setTimeout(done, 20))
            clearInterval(timer)
            return video
          },
          imageData: () => context.getImageData(0, 0, canvas.width, canvas.height),
          frame: () => new VideoFrame(canvas, { timestamp: 0 }),
          element: async () => { const image = new Image(); image.src = URL.createObjectURL(file); await image.decode(); return image },
        }
        globalThis.session ??= await model({ target: target === 'web' ? 'wasm' : target })
        const { y } = await session.run(await make[kind]())
        return { data: [...y.data], target: session.target }
      }`
    const png = await sharp(photo.data, { raw: { width: 203, height: 157, channels: 4 } })
      .png()
      .toBuffer()
    const module = await emit('web')
    await withPage({ folder, module, app, webgpu: target === 'gpu' }, async (page) => {
      for (const kind of kinds) {
        const result = await page.evaluate(([bytes, what, name]) => run(bytes, what, name), [
          [...png],
          kind,
          target,
        ] as [number[], string, string])
        // Frames of videos go through YUV: their colours are a few steps off.
        const bar = kind === 'frame' || kind === 'video' ? 4 * STEP : STEP
        expect([kind, apart(result.data, expected) <= bar, apart(result.data, expected)]).toEqual([
          kind,
          true,
          expect.anything(),
        ])
      }
    })
  })

  test('several files of several sizes', async () => {
    const module = await emitSeveral('web')
    const app = `globalThis.runAll = async (files) => {
      const session = await model({ target: 'wasm' })
      const { y } = await session.run(files.map((bytes) => new Blob([Uint8Array.from(bytes)])))
      return { dims: y.dims, data: [...y.data] }
    }`
    const png = async ({ data, width, height }: typeof photo) => [
      ...(await sharp(data, { raw: { width, height, channels: 4 } })
        .png()
        .toBuffer()),
    ]
    const files = [await png(photo), await png(second)]
    await withPage({ folder, module, app }, async (page) => {
      const { dims, data } = await page.evaluate((given) => runAll(given), files)
      expect(dims).toEqual([2, 3, 224, 224])
      expect(apart(data, [...imagenet(photo), ...imagenet(second)])).toBeLessThanOrEqual(STEP)
    })
  })
})

test('several images that are none, or not there, are told by name', async () => {
  const model = await loadEmitted<Model>(folder, await emitSeveral('node'))
  const session = await model()
  const { name } = model.inputs[0]!
  const run = session.run as (feeds: object) => Promise<unknown>
  await expect(run({})).rejects.toMatchObject({ code: 'INPUT_MISSING', message: expect.stringContaining(name) })
  await expect(run({ [name]: [null] })).rejects.toMatchObject({ code: 'INPUT_IMAGE' })
  await session.dispose()
})
