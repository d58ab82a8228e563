import { copyFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { rollup } from 'rollup'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import onnx from '../../plugins/rollup.ts'
import { createOptimizer, type Optimizer } from '../../src/api.ts'
import { unfrozen } from '../../src/codegen/frozen.ts'
import { OnnxSessionError } from '../../src/runtime/error.ts'
import { defineModel, frozen } from '../../src/runtime/node.ts'
import type { Dims, IoInfo, OnnxTensor, Session } from '../../src/runtime/types.ts'
import { hasShared, shared } from '../support/shared.ts'
import { temporaryFolder } from '../support/temporary.ts'
import { FakeTensor, fakeOrt, infoOf, io } from './support/fake-ort.ts'

let optimizer: Optimizer
beforeAll(() => {
  optimizer = createOptimizer({ root: import.meta.dirname, cache: false })
})
afterAll(() => optimizer.close())
const ort = () => import('onnxruntime-node')

async function open(name: string, sizes: readonly number[]) {
  const file = shared(`own/${name}.onnx`)
  const built = await Promise.all(
    sizes.map(async (sequence) => {
      const output = join(temporaryFolder(), 'm.onnx')
      const { info, report } = await optimizer.transform(file, {
        dim: { sequence_length: sequence, batch_size: 2 },
        output,
      })
      return { dims: { sequence }, frozen: { sequence }, info, url: output, bytes: report.bytesAfter }
    }),
  )
  const info = unfrozen(built as never)
  const [{ url, bytes }] = built as [(typeof built)[0]]
  const variant = { target: 'cpu', device: 'cpu', info, url, bytes, ort }
  const session = await defineModel([{ ...variant, frozen: frozen(built) }])()
  const plain = await defineModel([{ ...variant, url: file }])()
  return { info, session, plain }
}

type Outputs = { [name: string]: OnnxTensor }
const run = (session: Session, feeds: object) => session.run(feeds as never) as Promise<Outputs>

describe.skipIf(!hasShared)('a model of several sizes', () => {
  test('the smallest that fits is run, with padding behind the mask, and outputs are those of the dynamic model', async () => {
    const { info, session, plain } = await open('tiny-bert', [4, 8])
    expect(info.inputs.map(({ shape }) => shape)).toEqual(Array(info.inputs.length).fill([2, 'sequence']))
    for (const length of [1, 3, 4, 7, 8]) {
      const row = (value: (i: number) => number) =>
        [0, 1].map((batch) => Array.from({ length }, (_, i) => value(i + batch)))
      const feeds = Object.fromEntries(
        info.inputs.map(({ name }) => [
          name,
          row((i) => (/mask/.test(name) ? 1 : /type/.test(name) ? 0 : (i * 7) % 30)),
        ]),
      )
      const [actual, expected] = [await run(session, feeds), await run(plain, feeds)]
      for (const [name, tensor] of Object.entries(expected)) {
        expect(actual[name]!.dims).toEqual(tensor.dims)
        const worst = Math.max(...tensor.toFloat32().map((value, i) => Math.abs(value - actual[name]!.toFloat32()[i]!)))
        expect(worst, `${name} at ${length}`).toBeLessThan(1e-5)
      }
    }
    const long = Object.fromEntries(info.inputs.map(({ name }) => [name, [0, 1].map(() => Array(9).fill(1))]))
    await expect(run(session, long)).rejects.toThrow(/"sequence":9.*"sequence":8/)
    await session.dispose()
    await expect(run(session, long)).rejects.toMatchObject({ code: 'SESSION_DISPOSED' })
    await plain.dispose()
  })
})

test('without a mask a sequence is not padded, a batch is; sizes are opened when they are needed, once', async () => {
  const fake = fakeOrt(['x'])
  const make = async (dim: string) => {
    const at = (size: number | string) => infoOf([io('x', 'float32', [size, 2])], [io('y', 'float32', [])])
    const sizes = [2, 4].map((size) => ({ dims: { [dim]: size }, info: at(size), url: `/m${size}`, bytes: 1 }))
    const variant = { target: 'cpu', device: 'cpu', info: at(dim), url: '/m2', bytes: 1, ort: async () => fake }
    return defineModel([{ ...variant, frozen: frozen(sizes) }])()
  }
  const batch = await make('batch')
  expect(fake.created.map(({ model }) => model)).toEqual(['/m2'])
  await run(batch, { x: [[1, 2]] })
  expect(fake.fed['x']).toMatchObject({ dims: [2, 2], data: Float32Array.of(1, 2, 0, 0) })
  for (let i = 0; i < 2; i++) await run(batch, { x: [[1, 2], [3, 4], [5, 6]] }) // biome-ignore format: rows
  expect(fake.fed['x']).toMatchObject({ dims: [4, 2], data: Float32Array.of(1, 2, 3, 4, 5, 6, 0, 0) })
  expect(fake.created.map(({ model }) => model)).toEqual(['/m2', '/m4'])
  const sequence = await make('sequence')
  await expect(run(sequence, { x: [[1, 2]] })).rejects.toBeInstanceOf(OnnxSessionError)
  await run(sequence, { x: [[1, 2], [3, 4]] }) // biome-ignore format: rows
})

test('what was disposed of opens no further size', async () => {
  const { fake, session } = await twoSizes(mask('mask', 'int64'), () => [])
  await session.dispose()
  await expect(session.warmup({ sequence: 4 })).rejects.toMatchObject({ code: 'SESSION_DISPOSED' })
  expect(fake.created.map(({ model }) => model)).toEqual(['/2'])
})

test('a run without inputs says which is missing', async () => {
  const { session } = await twoSizes(mask('mask', 'int64'), () => [])
  await expect((session.run as () => Promise<unknown>)()).rejects.toMatchObject({ code: 'INPUT_MISSING' })
})

test('sizes are not opened for media that were read while the session was disposed of', async () => {
  const fake = fakeOrt(['x'])
  const at = (size: number | string) => infoOf([io('x', 'float32', [size, 2])], [io('y', 'float32', [])])
  const sizes = [2, 4].map((size) => ({ dims: { batch: size }, info: at(size), url: `/m${size}`, bytes: 1 }))
  let resolve = () => {}
  const reading = new Promise<void>((done) => {
    resolve = done
  })
  const variant = { target: 'cpu', device: 'cpu', info: at('batch'), url: '/m2', bytes: 1, ort: async () => fake }
  const media = async () => {
    await reading
    return { x: { data: new Float32Array(8), dims: [4, 2] } }
  }
  const session = await defineModel([{ ...variant, media, frozen: frozen(sizes) }])()
  const running = run(session, {})
  await session.dispose()
  resolve()
  await expect(running).rejects.toMatchObject({ code: 'SESSION_DISPOSED' })
  expect(fake.created.map(({ model }) => model)).toEqual(['/m2'])
})

/** A model of 2 and 4 of `sequence` that gives zeros of its declared shape, on the device if `location` says so. */
async function twoSizes(mask: IoInfo, output: (size: number) => Dims, location = 'cpu') {
  const at = (size: number) =>
    infoOf([{ ...mask, shape: mask.shape!.map((dim) => dim ?? size) }], [io('y', 'float32', output(size))])
  const built = [2, 4].map((sequence) => ({
    dims: { sequence },
    frozen: { sequence },
    info: at(sequence),
    url: `/${sequence}`,
    bytes: 1,
  }))
  const fake = fakeOrt([mask.name])
  const create = fake.InferenceSession.create
  fake.InferenceSession.create = async (model, options) => {
    const session = await create(model, options)
    const dims = output(Number(String(model).slice(1))) as number[]
    const run: typeof session.run = async (feeds, names) => {
      await session.run(feeds, names)
      const values = Float32Array.from({ length: dims.reduce((count, size) => count * size, 1) }, (_, i) => i)
      return { y: Object.assign(new FakeTensor('float32', values, dims), { location }) }
    }
    return { ...session, run }
  }
  const info = unfrozen(built as never)
  const variant = { target: 'cpu', device: 'cpu', info, url: '/2', bytes: 1, ort: async () => fake }
  return { fake, info, session: await defineModel([{ ...variant, frozen: frozen(built) }])() }
}

const mask = (name: string, dtype: string, shape: Dims = [1, null]) => io(name, dtype, shape)

test.each([
  [mask('attention_mask', 'int64'), true],
  [mask('mask', 'float32'), true],
  [mask('mask', 'bool', [1, 1, null]), true],
  // Added to scores: zero is no padding.
  [mask('attention_mask', 'float32', [1, 1, null]), false],
  [mask('key_padding_mask', 'bool'), false],
  [mask('input_ids', 'int64'), false],
] as const)('%o hides padding: %s', async (input, hides) => {
  const { session } = await twoSizes(input, () => [])
  const dims = input.shape!.map((dim) => (dim === null ? 3 : 1))
  const Row = { int64: BigInt64Array, float32: Float32Array, bool: Uint8Array }[input.dtype as 'int64']
  const result = run(session, { [input.name]: { data: new Row(3), dims } })
  if (hides) await result
  else await expect(result).rejects.toMatchObject({ code: 'INPUT_SHAPE', message: expect.stringContaining('no mask') })
})

test('outputs are cut along every axis that has the name, also those that were kept on the device', async () => {
  const input = mask('mask', 'int32')
  for (const location of ['cpu', 'gpu-buffer']) {
    const { info, session } = await twoSizes(input, (size) => [1, size, 2, size], location)
    expect(info.outputs[0]!.shape).toEqual([1, 'sequence', 2, 'sequence'])
    const { y } = await run(session, { mask: [[1, 1, 1]] })
    expect(y!.toNested()).toEqual([[[[0, 1, 2], [4, 5, 6]], [[8, 9, 10], [12, 13, 14]], [[16, 17, 18], [20, 21, 22]]]]) // biome-ignore format: rows
  }
})

test('an output whose size follows in another way is given for exact sizes alone', async () => {
  const { info, session } = await twoSizes(mask('mask', 'int32'), (size) => [1, size + 1])
  expect(info.outputs[0]!.shape).toEqual([1, null])
  expect((await run(session, { mask: [[1, 1]] }))['y']!.dims).toEqual([1, 3])
  await expect(run(session, { mask: [[1, 1, 1]] })).rejects.toMatchObject({
    code: 'INPUT_SHAPE',
    message: expect.stringMatching(/"y".*exactly \{"sequence":4\}/),
  })
  await expect(session.run({ mask: [[1, 1, 1]] } as never, { outputs: [] })).resolves.toEqual({})
})

test('tensors on the device are fed as they are where they have a size exactly', async () => {
  const { fake, session } = await twoSizes(mask('mask', 'float32'), () => [])
  const onDevice = (size: number) =>
    Object.assign(new FakeTensor('float32', new Float32Array(size), [1, size]), { location: 'gpu-buffer' })
  const tensor = onDevice(4)
  await run(session, { mask: tensor })
  expect(fake.fed['mask']).toBe(tensor)
  await expect(run(session, { mask: onDevice(3) })).rejects.toMatchObject({ code: 'INPUT_SHAPE' })
})

test('an import with several sizes emits each, and one session for all', async () => {
  const folder = temporaryFolder()
  copyFileSync(resolve(import.meta.dirname, '../../fixtures/digits-cnn.onnx'), join(folder, 'a.onnx'))
  const build = async (query: string) => {
    writeFileSync(join(folder, 'main.js'), `import a from './a.onnx?${query}'\nexport default a\n`)
    const bundle = await rollup({
      input: join(folder, 'main.js'),
      external: /^(unplugin-onnx|onnxruntime)/,
      plugins: [onnx({ root: folder, report: false, dts: false, target: 'node', cache: false })],
      onwarn: () => {},
    })
    const { output } = await bundle.generate({ format: 'es' })
    await bundle.close()
    return output
  }
  const [{ code }, ...assets] = await build('dim=batch_size:1;4;2')
  expect(assets.filter(({ fileName }) => fileName.endsWith('.onnx'))).toHaveLength(3)
  expect(code).toMatch(
    /frozen\(\[\{ dims: \{ batch_size: 1 \}.*\{ dims: \{ batch_size: 2 \}.*\{ dims: \{ batch_size: 4 \}/,
  )
  expect(code.match(/defineModel/g)).toHaveLength(2)
  await expect(build('dim=batch_size:1;x')).rejects.toThrow(/SHAPE_INVALID[\s\S]*are no sizes/)
  await expect(build('dim=batch_size:1;1')).rejects.toThrow(/SHAPE_INVALID/)
})
