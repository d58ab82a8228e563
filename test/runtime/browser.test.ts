import { rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { generateModule } from '../../src/codegen/module.ts'
import { readModel } from '../../src/graph/import.ts'
import { writeModel } from '../../src/graph/write.ts'
import { chromiumPath, launchChromium, type Serve, serve } from '../support/chromium.ts'
import { serveApp } from './support/app.ts'
import { projectFolder, root, variantOf } from './support/emitted.ts'

const digits = resolve(root, 'fixtures/digits-cnn.onnx')
const folder = projectFolder()
afterAll(() => rmSync(folder, { recursive: true }))
const image = Float32Array.from({ length: 2 * 64 }, (_, i) => (i * 37) % 17)

/** A page whose `run(options)` makes a session of the emitted module and runs it on `image`. */
async function bundle(): Promise<Serve> {
  const variant = await variantOf(digits, 'wasm', '"./digits.onnx"')
  const part = (name: string) => ({ mjs: `"./ort/${name}.mjs"`, wasm: `"./ort/${name}.wasm"` })
  // The same model with its weights in a second file, served under another name than the model knows.
  const split = join(folder, 'split.onnx')
  const [model, data] = await writeModel(readModel(digits), split, { external: 'always', location: 'weights.bin' })
  const importRuntime = resolve(root, 'src/runtime/web.ts')
  const code = generateModule({
    as: 'session',
    runtime: 'web',
    importRuntime,
    variants: [
      { ...variant, target: 'half', device: 'webgpu', requires: { 'shader-f16': 1 }, urlExpression: '"./half.onnx"' },
      {
        ...variant,
        target: 'large',
        device: 'webgpu',
        requires: { maxBufferSize: 2 ** 40 },
        urlExpression: '"./large.onnx"',
      },
      {
        ...variant,
        target: 'gpu',
        device: 'webgpu',
        requires: { maxBufferSize: 2 ** 28 },
        wasm: part('ort-wasm-simd-threaded.asyncify'),
      },
      { ...variant, target: 'web', wasm: part('ort-wasm-simd-threaded') },
      {
        ...variant,
        target: 'split',
        bytes: model!.bytes,
        urlExpression: '"./split.onnx"',
        external: [{ name: data!.name, bytes: data!.bytes, urlExpression: '"./weights-1234.bin"' }],
        wasm: part('ort-wasm-simd-threaded'),
      },
    ],
  })
  const app = `import model from 'model'
    globalThis.run = async (image, options) => {
      const progress = []
      const session = await model({ ...options, onProgress: (loaded, total) => progress.push([loaded, total]) })
      await session.warmup()
      const runs = [1, 2].map(() => session.run({ image: Float32Array.from(image) }))
      const [first, second] = await Promise.all(runs)
      const [name] = session.outputs.map((output) => output.name)
      const { target, device, skipped } = session
      const failure = await session.run({ image: [[1]] }).catch((error) => error.code)
      await session.dispose()
      const afterwards = await session.run({ image: [[1]] }).catch((error) => error.code)
      const same = String(first[name].data) === String(second[name].data)
      const { dims, data } = first[name]
      return { target, device, skipped, progress: progress.at(-1), dims, data: [...data], same, failure, afterwards }
    }`
  const files = new Map([
    ['digits.onnx', digits],
    ['split.onnx', split],
    ['weights-1234.bin', data!.path],
  ])
  return serveApp(app, code, (name) => files.get(name))
}

interface Result {
  target: string
  device: string
  skipped: { target: string; reason: string }[]
  progress: [number, number]
  dims: number[]
  data: number[]
  same: boolean
  failure: string
  afterwards: string
}
declare function run(image: number[], options: object): Promise<Result>

describe.skipIf(!chromiumPath)('in Chromium', () => {
  let files: Serve
  let expected: number[]
  beforeAll(async () => {
    files = await bundle()
    const session = await InferenceSession.create(digits)
    const outputs = await session.run({ image: new Tensor('float32', image, [2, 1, 8, 8]) })
    expected = [...(outputs[session.outputNames[0]!]!.data as Float32Array)]
  })

  async function inPage(options: object, setting: { webgpu?: boolean; isolated?: boolean } = {}) {
    const server = await serve(files, setting)
    const browser = await launchChromium(setting)
    try {
      const page = await browser.newPage()
      const errors: string[] = []
      page.on('pageerror', (error) => errors.push(error.message))
      await page.goto(`${server.origin}/app/`)
      await page.waitForFunction(() => 'run' in globalThis)
      const result = await page.evaluate(([pixels, given]) => run(pixels, given), [[...image], options] as [
        number[],
        object,
      ])
      expect(errors).toEqual([])
      return { result, requests: server.requests }
    } finally {
      await browser.close()
      await server.close()
    }
  }
  const close = (data: number[]) =>
    Math.max(...data.map((value, at) => Math.abs(value - expected[at]!))) / Math.max(...expected.map(Math.abs))

  test('wasm: probes, skips what it lacks, agrees with Node', async () => {
    const { result, requests } = await inPage({})
    expect(result).toMatchObject({
      target: 'web',
      device: 'wasm',
      progress: [119492, 119492],
      dims: [2, 10],
      same: true,
    })
    expect(result.skipped.map(({ target }) => target)).toEqual(['half', 'large', 'gpu'])
    expect(result).toMatchObject({ failure: 'INPUT_SHAPE', afterwards: 'SESSION_DISPOSED' })
    expect(close(result.data)).toBeLessThan(1e-6)
    expect(requests.filter((path) => path.includes('.onnx') || path.includes('/ort/')).sort()).toEqual([
      '/app/digits.onnx',
      '/app/ort/ort-wasm-simd-threaded.mjs',
      '/app/ort/ort-wasm-simd-threaded.wasm',
    ])
  })

  test('wasm with threads in an isolated page', async () => {
    const { result } = await inPage({ target: 'web', threads: 2 }, { isolated: true })
    expect(close(result.data)).toBeLessThan(1e-6)
  })

  test('external data under another URL', async () => {
    const { result, requests } = await inPage({ target: 'split' })
    expect(requests).toContain('/app/weights-1234.bin')
    expect(result.progress[0]).toBe(result.progress[1])
    expect(close(result.data)).toBeLessThan(1e-6)
  })

  test('WebGPU in software: what it lacks features or limits for is skipped, the float32 build agrees with Node', async () => {
    const { result, requests } = await inPage({}, { webgpu: true })
    expect(result).toMatchObject({ target: 'gpu', device: 'webgpu', same: true })
    expect(result.skipped).toMatchObject([
      { target: 'half', reason: 'the WebGPU adapter has no shader-f16' },
      {
        target: 'large',
        reason: expect.stringMatching(/^the WebGPU adapter has no maxBufferSize of 1099511627776, only \d+$/),
      },
    ])
    expect(close(result.data)).toBeLessThan(1e-5)
    expect(requests.filter((path) => /half|large/.test(path))).toEqual([])
    expect(requests).not.toContain('/app/ort/ort-wasm-simd-threaded.wasm')
  })
})
