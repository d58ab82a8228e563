import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { afterAll, describe, expect, test } from 'vitest'
import { generateModule, type ImportShape } from '../../src/codegen/module.ts'
import { OnnxSessionError } from '../../src/runtime/error.ts'
import { defineModel, loadBytes, toPath } from '../../src/runtime/node.ts'
import { hasShared, shared } from '../support/shared.ts'
import { tinyModel } from '../support/tiny-model.ts'
import { emittedModel } from './support/app.ts'
import { projectFolder, readInfo, root, variantOf } from './support/emitted.ts'

const digits = resolve(root, 'fixtures/digits-cnn.onnx')
const folder = projectFolder()
afterAll(() => rmSync(folder, { recursive: true }))

async function modelOf(file: string, device = 'cpu') {
  const info = await readInfo(file)
  const url = pathToFileURL(file).href
  return defineModel([{ target: device, device, info, bytes: 0, url, ort: () => import('onnxruntime-node') }])
}

test('gives what ONNX Runtime gives for the same feeds', async () => {
  const image = Float32Array.from({ length: 3 * 64 }, (_, i) => (i * 37) % 17)
  const direct = await InferenceSession.create(digits)
  const [name] = direct.outputNames
  const expected = await direct.run({ image: new Tensor('float32', image, [3, 1, 8, 8]) })
  await using session = await (await modelOf(digits))()
  await session.warmup()
  const flat = await session.run({ image })
  expect(flat[name!]?.dims).toEqual([3, 10])
  expect(flat[name!]?.data).toEqual(expected[name!]?.data)
  const rows = Array.from({ length: 3 }, (_, n) => [
    Array.from({ length: 8 }, (_, y) => [...image.subarray(n * 64 + y * 8, n * 64 + y * 8 + 8)]),
  ])
  expect((await session.run({ image: rows }))[name!]?.data).toEqual(expected[name!]?.data)
})

test('float16 in and out', async () => {
  const io = { type: 10, dims: ['n'] }
  const file = join(folder, 'float16.onnx')
  writeFileSync(file, tinyModel([{ op: 'Neg', inputs: ['x'], outputs: ['y'] }], { x: io }, { y: io }))
  await using session = await (await modelOf(file))()
  const { y } = await session.run({ x: [1, -0.5, 65504] })
  expect(y?.toNested()).toEqual([-1, 0.5, -65504])
  expect(y?.data).toBeInstanceOf(Uint16Array)
})

test.each([
  [9, 'bool', [true, false]],
  [7, 'int64', [5n, -6n]],
  [8, 'string', ['a', 'ü']],
  [6, 'int32', [5, -6]],
  [2, 'uint8', [0, 255]],
  [11, 'float64', [0.1, Number.POSITIVE_INFINITY]],
])('type %i (%s) there and back', async (type, dtype, values) => {
  const file = join(folder, `${dtype}.onnx`)
  const io = { type, dims: ['n'] }
  writeFileSync(file, tinyModel([{ op: 'Identity', inputs: ['x'], outputs: ['y'] }], { x: io }, { y: io }))
  await using session = await (await modelOf(file))()
  expect((await session.run({ x: values }))['y']?.toNested()).toEqual(values)
})

test('a failing run is an error of the session', async () => {
  const file = join(folder, 'reshape.onnx')
  const nodes = [{ op: 'Reshape', inputs: ['x', 'shape'], outputs: ['y'] }]
  const inputs = { x: { type: 1, dims: ['n'] }, shape: { type: 7, dims: ['m'] } }
  writeFileSync(file, tinyModel(nodes, inputs, { y: { type: 1, dims: ['a', 'b'] } }))
  await using session = await (await modelOf(file))()
  await expect(session.run({ x: [1, 2, 3], shape: [2, 2] })).rejects.toMatchObject({ code: 'RUN_FAILED' })
  expect((await session.run({ x: [1, 2, 3], shape: [3, 1] }))['y']?.toNested()).toEqual([[1], [2], [3]])
})

test('more positions than the model has: the error names what was fed', async () => {
  const file = join(folder, 'positions.onnx')
  const nodes = [{ op: 'Gather', inputs: ['table', 'positions'], outputs: ['y'] }]
  const inputs = { table: { type: 1, dims: ['n', 'd'] }, positions: { type: 7, dims: ['sequence'] } }
  writeFileSync(file, tinyModel(nodes, inputs, { y: { type: 1, dims: ['sequence', 'd'] } }))
  await using session = await (await modelOf(file))()
  const failing = session.run({ table: [[1], [2]], positions: [0, 1, 2] })
  await expect(failing).rejects.toMatchObject({
    code: 'RUN_FAILED',
    message: expect.stringMatching(/^the run failed with table \[2,1\],positions \[3\]: .*bounds/s),
    cause: { message: expect.stringMatching(/Gather/) },
  })
})

test('a device that is not there: cpu, and it is said', async () => {
  await using session = await (await modelOf(digits, 'coreml'))()
  expect(session).toMatchObject({ target: 'coreml', device: 'cpu', skipped: [{ device: 'coreml' }] })
})

test.skipIf(existsSync('/proc/driver/nvidia'))(
  'CUDA without its libraries: cpu with the reason, or a typed error',
  async () => {
    const model = await modelOf(digits, 'cuda')
    await using session = await model()
    expect(session).toMatchObject({ target: 'cuda', device: 'cpu', skipped: [{ device: 'cuda' }] })
    expect(session.skipped[0]!.reason).toMatch(/cuda/i)
    await expect(model({ fallback: false })).rejects.toMatchObject({ code: 'SESSION_FAILED' })
  },
)

test.skipIf(existsSync('/proc/driver/nvidia'))(
  'several targets: the first that is there, with a reason for each before it',
  async () => {
    const info = await readInfo(digits)
    const url = pathToFileURL(digits).href
    const ort = () => import('onnxruntime-node')
    const variants = ['tensorrt', 'cuda', 'qnn', 'cpu'].map((device) => ({
      target: `my-${device}`,
      device,
      info,
      bytes: 0,
      url,
      ort,
    }))
    const taken: unknown[] = []
    await using session = await defineModel(variants)({ onTarget: (choice) => taken.push(choice) })
    const { target, device, skipped } = session
    expect(taken).toEqual([{ target, device, skipped }])
    expect([target, device]).toEqual(['my-cpu', 'cpu'])
    expect(skipped.map((one) => one.target)).toEqual(['my-tensorrt', 'my-cuda', 'my-qnn'])
    for (const { reason } of skipped)
      expect(reason).toMatch(/onnxruntime-node has no \w+ on this platform|shared library/)
    await expect(defineModel(variants)({ target: 'my-qnn' })).rejects.toMatchObject({ code: 'SESSION_FAILED' })
  },
)

test('a missing or damaged model is one error', async () => {
  const info = await readInfo(digits)
  const ort = () => import('onnxruntime-node')
  const damaged = join(folder, 'damaged.onnx')
  writeFileSync(damaged, Uint8Array.of(1, 2, 3))
  for (const url of [damaged, join(folder, 'none.onnx')]) {
    const model = defineModel([{ target: 'cpu', device: 'cpu', info, bytes: 1, url, ort }])
    await expect(model()).rejects.toMatchObject({ name: 'OnnxSessionError', code: 'SESSION_FAILED' })
  }
  await expect(loadBytes(join(folder, 'none.onnx'), 1)).rejects.toBeInstanceOf(OnnxSessionError)
})

test('paths and bytes', async () => {
  expect(toPath(pathToFileURL('/a b/ü.onnx').href)).toBe('/a b/ü.onnx')
  expect(toPath('/a b/ü.onnx')).toBe('/a b/ü.onnx')
  expect((await loadBytes(pathToFileURL(digits).href, 0)).length).toBe(119492)
})

describe('the emitted module in a bundle', () => {
  /** Bundles an app that imports the emitted module, runs it in Node and gives what it prints. */
  async function app(as: ImportShape, format: 'esm' | 'cjs', source: string): Promise<unknown> {
    const url =
      format === 'esm' ? "new URL('./m.onnx', import.meta.url).href" : "require('node:path').join(__dirname, 'm.onnx')"
    const importRuntime = resolve(root, 'src/runtime/node.ts')
    const code = generateModule({ as, runtime: 'node', variants: [await variantOf(digits, 'cpu', url)], importRuntime })
    copyFileSync(digits, join(folder, 'm.onnx'))
    const outfile = join(folder, `${as}.${format === 'esm' ? 'mjs' : 'cjs'}`)
    await build({
      stdin: { contents: `import model from 'model'\n${source}`, resolveDir: root },
      plugins: [emittedModel(code)],
      bundle: true,
      platform: 'node',
      format,
      external: ['onnxruntime-node'],
      outfile,
      logLevel: 'error',
    })
    return JSON.parse(execFileSync(process.execPath, [outfile], { encoding: 'utf8' }))
  }
  const run = `async function main() {
    const session = await model()
    const out = await session.run({ image: new Float32Array(64).fill(3) })
    console.log(JSON.stringify([session.target, model.inputs[0].name, ...Object.values(out).map((y) => [...y.data])]))
    await session.dispose()
  }
  main()`

  test('runs as ES module and as CommonJS', async () => {
    const direct = await InferenceSession.create(digits)
    const image = new Tensor('float32', new Float32Array(64).fill(3), [1, 1, 8, 8])
    const expected = Object.values(await direct.run({ image })).map(({ data }) => [...(data as Float32Array)])
    expect(await app('session', 'esm', run)).toEqual(['cpu', 'image', ...expected])
    expect(await app('session', 'cjs', run)).toEqual(['cpu', 'image', ...expected])
  })

  test.each(['esm', 'cjs'] as const)('path, url, bytes, info (%s)', async (format) => {
    const file = join(folder, 'm.onnx')
    const print = 'console.log(JSON.stringify(model))'
    expect(await app('path', format, print)).toBe(file)
    expect(await app('url', format, print)).toBe(format === 'esm' ? pathToFileURL(file).href : file)
    expect(await app('bytes', format, 'model().then((b) => console.log(b.length))')).toBe(119492)
    expect(await app('info', format, print)).toEqual(await readInfo(digits))
  })
})

describe.skipIf(!hasShared)('shared models', () => {
  test('external data is found beside the model', async () => {
    await using session = await (await modelOf(shared('real/mnist-external.onnx')))()
    await session.warmup()
  })

  test('an overridable initializer may be left out; ONNX Runtime would ignore a value, so it is refused', async () => {
    const file = shared('real/ort-overridable-init.onnx')
    const info = await readInfo(file)
    info.inputs.push({ name: 'F1', dtype: 'float32', type: 'tensor(float32)', shape: [1, 1], optional: true })
    const ort = () => import('onnxruntime-node')
    const model = defineModel([{ target: 'cpu', device: 'cpu', info, bytes: 0, url: file, ort }])
    await using session = await model()
    const feeds = { Label: true, F2: 'x' }
    expect((await session.run(feeds))['Label0']?.item()).toBe(true)
    await expect(session.run({ ...feeds, F1: 3 })).rejects.toMatchObject({ code: 'INPUT_UNSUPPORTED' })
  })
})
