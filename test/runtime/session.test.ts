import { describe, expect, test } from 'vitest'
import { codec } from '../../src/runtime/elements.ts'
import { half } from '../../src/runtime/float16.ts'
import { serialQueue } from '../../src/runtime/queue.ts'
import { wrapSession } from '../../src/runtime/session.ts'
import { OnnxTensor } from '../../src/runtime/tensor.ts'
import type { Session } from '../../src/runtime/types.ts'
import { type FakeOrt, FakeTensor, fakeOrt, infoOf, io } from './support/fake-ort.ts'

Object.assign(codec, half)

const inputs = [io('x', 'float32', ['batch', 2]), io('fail', 'float32', [], true)]
const outputs = [io('y', 'float32', []), io('z', 'float32', []), { name: 'map', type: 'sequence(map(int64, float32))' }]

async function open(): Promise<{ ort: FakeOrt; session: Session }> {
  const ort = fakeOrt(['x', 'fail'])
  const raw = await ort.InferenceSession.create(new Uint8Array() as never, { executionProviders: ['cpu'] })
  const choice = { target: 'web', device: 'wasm', skipped: [] }
  return { ort, session: wrapSession({ ort, raw, queue: serialQueue() }, infoOf(inputs, outputs), choice)() }
}
const feeds = { x: [[1, 2]] } as never

test('says what it is', async () => {
  const { session } = await open()
  expect(session).toMatchObject({ target: 'web', device: 'wasm', skipped: [], inputs, outputs })
})

test('gives all outputs that have a form in JavaScript, or those asked for', async () => {
  const { session } = await open()
  expect(Object.keys(await session.run(feeds))).toEqual(['y', 'z'])
  const { z } = await session.run(feeds, { outputs: ['z'] })
  expect(z?.item()).toBe(7)
  await expect(session.run(feeds, { outputs: ['q'] })).rejects.toMatchObject({ code: 'OUTPUT_UNKNOWN' })
})

test('runs one call at a time', async () => {
  const { ort, session } = await open()
  await Promise.all([session.run(feeds), session.run(feeds), session.warmup()])
  expect(ort.log).toEqual(['start', 'end', 'start', 'end', 'start', 'end'])
})

test('a run that fails says so and leaves the session usable', async () => {
  const { session } = await open()
  const failing = session.run({ x: [[1, 2]], fail: 1 } as never)
  const next = session.run(feeds)
  await expect(failing).rejects.toMatchObject({
    code: 'RUN_FAILED',
    message: 'the run failed with x [1,2],fail []: no kernel',
    cause: { message: 'no kernel' },
  })
  expect((await next)['y']?.item()).toBe(7)
})

test('an input with a default that ONNX Runtime does not offer is refused, not ignored', async () => {
  const ort = fakeOrt(['x'])
  const raw = await ort.InferenceSession.create(new Uint8Array() as never, { executionProviders: ['cpu'] })
  const choice = { target: '', device: '', skipped: [] }
  const session = wrapSession({ ort, raw, queue: serialQueue() }, infoOf(inputs), choice)()
  const run = session.run({ x: [[1, 2]], fail: 1 } as never)
  await expect(run).rejects.toMatchObject({ code: 'INPUT_UNSUPPORTED' })
})

describe('warm-up', () => {
  test('runs on zeros, dynamic dims 1 unless given', async () => {
    const { ort, session } = await open()
    await session.warmup()
    expect(ort.fed).toMatchObject({ x: { dims: [1, 2], data: new Float32Array(2) } })
    await session.warmup({ batch: 4 })
    expect(ort.fed).toMatchObject({ x: { dims: [4, 2], data: new Float32Array(8) } })
  })
})

describe('dispose', () => {
  test('waits for runs under way, then frees; a second call does nothing', async () => {
    const { ort, session } = await open()
    const runs = [session.run(feeds), session.run({ x: [[1, 2]], fail: 1 } as never).catch(() => {})]
    const disposals = [session.dispose(), session.dispose()]
    await Promise.all(disposals)
    expect(ort.log).toEqual(['start', 'end', 'start', 'end', 'release'])
    await Promise.all(runs)
  })

  test('use afterwards is an error', async () => {
    const { session } = await open()
    const disposal = session.dispose()
    await expect(session.run(feeds)).rejects.toMatchObject({ code: 'SESSION_DISPOSED' })
    await disposal
    await expect(session.warmup()).rejects.toMatchObject({ code: 'SESSION_DISPOSED' })
  })

  test('await using', async () => {
    const { ort, session } = await open()
    {
      await using scoped = session
      await scoped.run(feeds)
    }
    expect(ort.log).toEqual(['start', 'end', 'release'])
  })
})

describe('output tensors', () => {
  const tensor = (type: string, data: unknown, dims: number[]) => new OnnxTensor(new FakeTensor(type, data, dims))

  test('nested arrays', () => {
    expect(tensor('float32', Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3]).toNested()).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ])
    expect(tensor('int64', BigInt64Array.of(1n, 2n), [2, 1]).toNested()).toEqual([[1n], [2n]])
    expect(tensor('bool', Uint8Array.of(1, 0), [2]).toNested()).toEqual([true, false])
    expect(tensor('string', ['a', 'b'], [2]).toNested()).toEqual(['a', 'b'])
    expect(tensor('float16', Uint16Array.of(0x3c00, 0xc000), [2]).toNested()).toEqual([1, -2])
    expect(tensor('float32', new Float32Array(0), [2, 0]).toNested()).toEqual([[], []])
    expect(tensor('float32', Float32Array.of(3), []).toNested()).toBe(3)
  })

  test('float32 view of any number', () => {
    const data = Float32Array.of(1)
    expect(tensor('float32', data, [1]).toFloat32()).toBe(data)
    expect(tensor('float16', Uint16Array.of(0x3800), [1]).toFloat32()).toEqual(Float32Array.of(0.5))
    expect(tensor('int64', BigInt64Array.of(-5n), [1]).toFloat32()).toEqual(Float32Array.of(-5))
  })

  test('item is the only element', () => {
    expect(tensor('int64', BigInt64Array.of(9n), [1, 1]).item()).toBe(9n)
    expect(() => tensor('float32', new Float32Array(2), [2]).item()).toThrow(RangeError)
  })

  test('data on a device has to be fetched', async () => {
    const raw = new FakeTensor('float32', Float32Array.of(1), [1])
    raw.location = 'gpu-buffer'
    const output = new OnnxTensor(raw)
    expect(() => output.data).toThrow(expect.objectContaining({ code: 'OUTPUT_ON_DEVICE' }))
    expect(await output.getData()).toEqual(Float32Array.of(1))
    output.dispose()
    expect(raw.disposed).toBe(true)
  })
})

test('what stays on the device is said for the session or for each run', async () => {
  const downloads: string[] = []
  const tensor = (name: string) => ({
    type: 'float32',
    dims: [1],
    data: Float32Array.of(1),
    location: 'gpu-buffer',
    async getData(release: boolean) {
      downloads.push(`${name} ${release}`)
      return this.data
    },
    dispose() {},
  })
  const outputs = [io('past.0', 'float32', [1]), io('past.1', 'float32', [1]), io('y', 'float32', [1])]
  const run = async (always: readonly string[] | true | undefined, keep?: readonly string[]) => {
    downloads.length = 0
    const ort = fakeOrt(['x'])
    const raw = {
      inputNames: ['x'],
      run: async (_: object, names: readonly string[]) => Object.fromEntries(names.map((name) => [name, tensor(name)])),
      release: async () => {},
    }
    const open = { ort, raw: raw as never, queue: (task: () => Promise<never>) => task(), keep: always }
    const choice = { target: 'gpu', device: 'webgpu', skipped: [] }
    const session = wrapSession(open as never, infoOf([io('x', 'float32', [1])], outputs), choice)()
    await session.run({ x: [1] } as never, keep ? { keep } : {})
    return [...downloads]
  }
  expect(await run(true)).toEqual(['past.0 true', 'past.1 true', 'y true'])
  expect(await run(true, ['past.*'])).toEqual(['y true'])
  expect(await run(['past.*', 'y'])).toEqual([])
  expect(await run(['past.*', 'y'], ['past.0'])).toEqual(['past.1 true', 'y true'])
  expect(await run(undefined)).toEqual([])
})
