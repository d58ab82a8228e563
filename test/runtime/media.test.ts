import { rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { imagenet, picture } from '../../bench/support/pixels.mjs'
import { generateModule } from '../../src/codegen/module.ts'
import { writeModel } from '../../src/graph/write.ts'
import type { Model, Session } from '../../src/runtime/types.ts'
import { apart, passingOn, process } from '../passes/processing/support.ts'
import { chromiumPath, launchChromium, type Serve, serve } from '../support/chromium.ts'
import { projectFolder, root, variantOf } from './support/emitted.ts'
import { ortFile } from './support/ort-web.ts'

const folder = projectFolder()
afterAll(() => rmSync(folder, { recursive: true }))
const photo = picture(203, 157)
const expected = imagenet(photo)
/** One step of a byte, in normalized values. */
const STEP = (1 / 255 + 1e-6) / 0.224

/** Writes a model that hands on what its steps make of an image. */
async function emit(device: string, url: string): Promise<string> {
  const model = passingOn([1, 3, 224, 224])
  const { media } = await process(model, { preprocess: 'imagenet' })
  const file = join(folder, 'model-of-steps.onnx')
  rmSync(file, { force: true })
  await writeModel(model, file, { location: 'm.data' })
  const variant = await variantOf(file, device, url)
  for (const input of variant.info.inputs) if (media?.[input.name]) input.media = media[input.name]!
  const runtime = device === 'cpu' ? 'node' : 'web'
  const part = (name: string) => ({ mjs: `"./ort/${name}.mjs"`, wasm: `"./ort/${name}.wasm"` })
  return generateModule({
    as: 'session',
    runtime,
    importRuntime: resolve(root, `src/runtime/${runtime}.ts`),
    variants: [
      { ...variant, ...(runtime === 'web' ? { wasm: part('ort-wasm-simd-threaded') } : {}) },
      ...(runtime === 'web'
        ? [{ ...variant, target: 'gpu', device: 'webgpu', wasm: part('ort-wasm-simd-threaded.asyncify') }]
        : []),
    ],
  })
}

describe('in Node', () => {
  let session: Session
  beforeAll(async () => {
    const contents = await emit('cpu', JSON.stringify(pathToFileURL(join(folder, 'model-of-steps.onnx')).href))
    const outfile = join(folder, 'main.mjs')
    await build({
      stdin: { contents, resolveDir: root },
      bundle: true,
      outfile,
      format: 'esm',
      platform: 'node',
      packages: 'external',
    })
    const { default: model } = (await import(outfile)) as { default: Model }
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

  test('a tensor of bytes goes as it is', async () => {
    expect(apart(await run({ x: { data: photo.data, dims: [157, 203, 4] } }), expected)).toBeLessThanOrEqual(STEP)
  })

  test.each([
    ['no pixels', { data: new Uint8Array(0), width: 0, height: 10 }, 'INPUT_IMAGE', '0x10'],
    ['one channel', { data: new Uint8Array(100), width: 10, height: 10 }, 'INPUT_IMAGE', 'not 100 elements'],
    ['floats', { data: new Float32Array(300), width: 10, height: 10 }, 'INPUT_IMAGE', '3 or 4 bytes'],
    ['another object', { z: 1 }, 'INPUT_IMAGE', 'image'],
    ['nothing', {}, 'INPUT_MISSING', '"x" is missing'],
    ['a broken file', sharp(Buffer.from('no image')), 'INPUT_IMAGE', 'no image'],
  ])('%s is refused', async (_, feed, code, text) => {
    const failure = await run(feed).catch((error: Error) => error)
    expect(failure).toMatchObject({ code, message: expect.stringContaining(text) })
  })
})

declare function run(png: number[], kind: string, target: string): Promise<{ data: number[]; target: string }>

describe.skipIf(!chromiumPath)('in Chromium', () => {
  test.each([
    ['web', ['file', 'bitmap', 'canvas', 'offscreen', 'imageData', 'frame', 'element']],
    ['gpu', ['imageData']],
  ])('%s: %j', async (target, kinds) => {
    const code = await emit('wasm', '"./m.onnx"')
    const app = `import model from 'model'
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
          imageData: () => context.getImageData(0, 0, canvas.width, canvas.height),
          frame: () => new VideoFrame(canvas, { timestamp: 0 }),
          element: async () => { const image = new Image(); image.src = URL.createObjectURL(file); await image.decode(); return image },
        }
        globalThis.session ??= await model({ target: target === 'web' ? 'wasm' : target })
        const { y } = await session.run(await make[kind]())
        return { data: [...y.data], target: session.target }
      }`
    const { outputFiles } = await build({
      stdin: { contents: app, resolveDir: root },
      plugins: [
        {
          name: 'model',
          setup(host) {
            host.onResolve({ filter: /^model$/ }, () => ({ path: 'model', namespace: 'model' }))
            host.onLoad({ filter: /.*/, namespace: 'model' }, () => ({ contents: code, resolveDir: root }))
          },
        },
      ],
      bundle: true,
      splitting: true,
      write: false,
      outdir: '/app/assets',
      entryNames: 'main',
      format: 'esm',
      platform: 'browser',
      conditions: ['onnxruntime-web-use-extern-wasm'],
      logLevel: 'error',
    })
    const built = new Map(outputFiles.map((part) => [part.path, part.contents]))
    const { readFileSync } = await import('node:fs')
    const files: Serve = (path) => {
      if (path === '/app/') return { body: '<script type="module" src="assets/main.js"></script>', type: 'text/html' }
      if (path === '/app/m.onnx')
        return { body: readFileSync(join(folder, 'model-of-steps.onnx')), type: 'application/octet-stream' }
      const script = built.get(path)
      return script ? { body: script, type: 'text/javascript' } : ortFile(path)
    }
    const png = await sharp(photo.data, { raw: { width: 203, height: 157, channels: 4 } })
      .png()
      .toBuffer()
    const setting = { webgpu: target === 'gpu' }
    const server = await serve(files, {})
    const browser = await launchChromium(setting)
    try {
      const page = await browser.newPage()
      await page.goto(`${server.origin}/app/`)
      await page.waitForFunction(() => 'run' in globalThis)
      for (const kind of kinds) {
        const result = await page.evaluate(([bytes, what, name]) => run(bytes, what, name), [
          [...png],
          kind,
          target,
        ] as [number[], string, string])
        // Frames of videos go through YUV: their colours are a few steps off.
        const bar = kind === 'frame' ? 4 * STEP : STEP
        expect([kind, apart(result.data, expected) <= bar, apart(result.data, expected)]).toEqual([
          kind,
          true,
          expect.anything(),
        ])
      }
    } finally {
      await browser.close()
      await server.close()
    }
  })
})
