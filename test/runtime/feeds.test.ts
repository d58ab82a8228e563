import { Tensor } from 'onnxruntime-node'
import { describe, expect, test } from 'vitest'
import { codec } from '../../src/runtime/elements.ts'
import { half } from '../../src/runtime/float16.ts'
import { serialQueue } from '../../src/runtime/queue.ts'
import { wrapSession } from '../../src/runtime/session.ts'
import { OnnxTensor } from '../../src/runtime/tensor.ts'
import type { IoInfo } from '../../src/runtime/types.ts'
import { FakeTensor, fakeOrt, infoOf, io } from './support/fake-ort.ts'

Object.assign(codec, half)

/** What reaches ONNX Runtime for these feeds, as [type, dims, elements]; or the code of the error. */
async function feed(inputs: readonly IoInfo[], feeds: Record<string, unknown>, options = {}) {
  const ort = fakeOrt(inputs.map(({ name }) => name))
  const raw = await ort.InferenceSession.create(new Uint8Array() as never, { executionProviders: ['cpu'] })
  const choice = { target: 'cpu', device: 'cpu', skipped: [] }
  const session = wrapSession({ ort, raw, queue: serialQueue() }, infoOf(inputs), choice)()
  try {
    await session.run(feeds as never, options)
  } catch (error) {
    expect(ort.log).toEqual([])
    return (error as { code: string }).code
  }
  const read = ({ type, dims, data }: { type: string; dims: readonly number[]; data: unknown }) => [
    type,
    dims,
    [...(data as Float32Array)],
  ]
  return Object.fromEntries(Object.entries(ort.fed).map(([name, tensor]) => [name, read(tensor)]))
}

const one = async (dtype: string, shape: IoInfo['shape'], value: unknown) => {
  const result = await feed([io('x', dtype, shape)], { x: value })
  return typeof result === 'string' ? result : result['x']
}

describe('element types', () => {
  const cases: [dtype: string, value: unknown, elements: unknown][] = [
    ['float32', [1.5, -2], [1.5, -2]],
    ['float32', Float32Array.of(1.5, -2), [1.5, -2]],
    ['float64', [0.1, 2], [0.1, 2]],
    ['float64', Float32Array.of(0.5, 2), [0.5, 2]],
    ['float16', [1, -2], [0x3c00, 0xc000]],
    ['float16', Float32Array.of(1, 65504), [0x3c00, 0x7bff]],
    ['float16', Uint16Array.of(0x3c00, 1), [0x3c00, 1]],
    ['int64', [1, -2], [1n, -2n]],
    ['int64', [1n, 2n ** 63n - 1n], [1n, 2n ** 63n - 1n]],
    ['int64', BigInt64Array.of(3n, 4n), [3n, 4n]],
    ['int64', Int32Array.of(3, -4), [3n, -4n]],
    ['uint64', [1, 2n ** 64n - 1n], [1n, 2n ** 64n - 1n]],
    ['int32', [1, -(2 ** 31)], [1, -(2 ** 31)]],
    ['uint8', [0, 255], [0, 255]],
    ['uint8', Uint8ClampedArray.of(1, 2), [1, 2]],
    ['uint8', Buffer.from([1, 2]), [1, 2]],
    ['int8', [-128, 127], [-128, 127]],
    ['bool', [true, false], [1, 0]],
    ['bool', [1, 0], [1, 0]],
    ['bool', Uint8Array.of(1, 0), [1, 0]],
    ['string', ['a', ''], ['a', '']],
  ]
  test.each(cases)('%s takes %o', async (dtype, value, elements) => {
    expect(await one(dtype, [2], value)).toEqual([dtype, [2], elements])
  })

  const wrong: [dtype: string, value: unknown][] = [
    ['float32', Float64Array.of(1, 2)],
    ['float32', Int32Array.of(1, 2)],
    ['float32', ['1', '2']],
    ['float32', [1, undefined]],
    ['float32', [1n, 2n]],
    ['float32', null],
    ['float32', {}],
    ['float32', [null, 1]],
    ['float64', [true, false]],
    ['float16', Int16Array.of(1, 2)],
    ['int32', [1, 1.5]],
    ['int32', [1, 2 ** 31]],
    ['int32', Float32Array.of(1, 2)],
    ['int32', BigInt64Array.of(1n, 2n)],
    ['uint8', [0, 256]],
    ['uint8', [-1, 0]],
    ['int64', [0.5, 1]],
    ['int64', [2 ** 53, 1]],
    ['int64', [2n ** 63n, 1n]],
    ['int64', Float32Array.of(1, 2)],
    ['uint64', [-1, 1]],
    ['bool', [2, 0]],
    ['bool', ['true', 'false']],
    ['string', [1, 2]],
    ['string', Uint8Array.of(1, 2)],
    ['int4', [1, 2]],
  ]
  test.each(wrong)('%s refuses %o', async (dtype, value) => {
    expect(await one(dtype, [2], value)).toBe('INPUT_DTYPE')
  })

  test('packed 4-bit elements come with their shape, or with one that is fixed', async () => {
    expect(await one('uint4', ['n'], { data: Uint8Array.of(0x21, 0x03), dims: [3] })).toEqual(['uint4', [3], [33, 3]])
    expect(await one('int4', [2, 2], Uint8Array.of(1, 2))).toEqual(['int4', [2, 2], [1, 2]])
  })

  test('types without a form in JavaScript are refused by name', async () => {
    expect(await one('bfloat16', [1], [1])).toBe('INPUT_UNSUPPORTED')
    expect(await feed([{ name: 's', type: 'sequence(tensor(float32))' }], { s: [] })).toBe('INPUT_UNSUPPORTED')
  })
})

describe('shapes', () => {
  test.each([
    [
      'nesting',
      ['batch', 'sequence'],
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
      [2, 3],
    ],
    ['nested typed rows', ['batch', 3], [Float32Array.of(1, 2, 3), Float32Array.of(4, 5, 6)], [2, 3]],
    ['three levels', [null, null, null], [[[1, 2]], [[3, 4]]], [2, 1, 2]],
    ['no rows', ['batch', 'sequence'], [[], []], [2, 0]],
    ['fixed dims for a flat array', [2, 3], new Float32Array(6), [2, 3]],
    ['one open dim for a flat array', ['batch', 1, 8, 8], new Float32Array(128), [2, 1, 8, 8]],
    ['an unnamed open dim', [2, null], new Float32Array(6), [2, 3]],
    ['an empty flat array', ['batch', 4], new Float32Array(0), [0, 4]],
    ['a scalar', [], 5, []],
    ['ones for a single number', ['batch', 1, null], 5, [1, 1, 1]],
    ['ones for a single element', ['batch', 'sequence'], Float32Array.of(5), [1, 1]],
    ['given dims', ['batch', 'sequence'], { data: new Float32Array(6), dims: [3, 2] }, [3, 2]],
    ['given dims of plain numbers', ['batch', 'sequence'], { data: [1, 2, 3, 4], dims: [2, 2] }, [2, 2]],
    ['a scalar with dims', [], { data: [1], dims: [] }, []],
    ['a tensor', ['batch', 'sequence'], new Tensor('float32', new Float32Array(6), [3, 2]), [3, 2]],
    ['an output', ['n'], new OnnxTensor(new FakeTensor('float32', Float32Array.of(1, 2), [2])), [2]],
    ['an unknown rank, nested', undefined, [[1], [2]], [2, 1]],
    ['an unknown rank, flat', undefined, new Float32Array(4), [4]],
  ] as [string, IoInfo['shape'], unknown, number[]][])('from %s', async (_, shape, value, dims) => {
    expect((await one('float32', shape, value))?.[1]).toEqual(dims)
  })

  test.each([
    ['too few levels', ['batch', 'sequence'], [1, 2], 'INPUT_SHAPE'],
    ['too many levels', ['n'], [[1], [2]], 'INPUT_SHAPE'],
    ['rows of different length', ['batch', 'sequence'], [[1, 2], [3]], 'INPUT_SHAPE'],
    ['an element where a row should be', ['batch', 'sequence'], [[1], 2], 'INPUT_SHAPE'],
    ['a row where an element should be', ['batch'], [1, [2]], 'INPUT_DTYPE'],
    ['a wrong fixed dim', ['batch', 3], [[1, 2]], 'INPUT_SHAPE'],
    ['elements that fill no whole row', ['batch', 4], new Float32Array(6), 'INPUT_SHAPE'],
    ['too many elements', [2, 2], new Float32Array(6), 'INPUT_SHAPE'],
    ['a number for a longer row', ['batch', 4], 1, 'INPUT_SHAPE'],
    ['two open dims', ['batch', 'sequence'], new Float32Array(6), 'INPUT_AMBIGUOUS'],
    ['an open dim beside a zero', ['batch', 0], new Float32Array(0), 'INPUT_AMBIGUOUS'],
    ['dims that do not fit the data', ['n'], { data: new Float32Array(6), dims: [5] }, 'INPUT_SHAPE'],
    ['dims that are no sizes', ['n', 'm'], { data: new Float32Array(6), dims: [-2, -3] }, 'INPUT_SHAPE'],
    ['a tensor of another type', ['n'], new Tensor('float64', new Float64Array(6), [6]), 'INPUT_DTYPE'],
    ['typed and plain rows', ['n', 1], [Float32Array.of(1), [2]], 'INPUT_DTYPE'],
    ['rows of several types', ['n', 1], [Float32Array.of(1), Float64Array.of(2)], 'INPUT_DTYPE'],
  ] as [string, IoInfo['shape'], unknown, string][])('refuses %s', async (_, shape, value, code) => {
    expect(await one('float32', shape, value)).toBe(code)
  })

  const ids = io('ids', 'int64', ['batch', 'sequence'])
  const mask = io('mask', 'int64', ['batch', 'sequence'])
  test('open dims are those of other inputs, wherever these stand', async () => {
    const flat = BigInt64Array.of(1n, 2n, 3n, 4n, 5n, 6n)
    const nested = [
      [1, 1, 1],
      [1, 1, 1],
    ]
    for (const feeds of [
      { ids: flat, mask: nested },
      { ids: nested, mask: flat },
    ]) {
      const result = await feed([ids, mask], feeds)
      expect(result).toMatchObject({
        ids: ['int64', [2, 3], expect.anything()],
        mask: ['int64', [2, 3], expect.anything()],
      })
    }
  })

  test('a chain of inputs is solved one after the other', async () => {
    const inputs = [io('a', 'float32', ['x', 'y', 'z']), io('b', 'float32', ['x', 'y']), io('c', 'float32', ['x'])]
    const feeds = { a: new Float32Array(24), b: new Float32Array(6), c: new Float32Array(2) }
    expect(await feed(inputs, feeds)).toMatchObject({ a: [expect.anything(), [2, 3, 4], expect.anything()] })
  })

  test('one dim name is one size', async () => {
    expect(await feed([ids, mask], { ids: [[1, 2]], mask: [[1]] })).toBe('INPUT_SHAPE')
    expect(await feed([io('x', 'float32', ['n', 'n'])], { x: [[1, 2]] })).toBe('INPUT_SHAPE')
  })

  test('checkShapes: false passes contradictions on, but no wrong names or types', async () => {
    const off = { checkShapes: false }
    expect(await feed([ids, mask], { ids: [[1, 2]], mask: [[1]] }, off)).toMatchObject({
      mask: ['int64', [1, 1], [1n]],
    })
    expect(await feed([io('x', 'float32', [3])], { x: [1] }, off)).toMatchObject({ x: ['float32', [1], [1]] })
    expect(await feed([ids], { id: [[1]] }, off)).toBe('INPUT_UNKNOWN')
    expect(await feed([ids], { ids: [['a']] }, off)).toBe('INPUT_DTYPE')
  })
})

describe('names', () => {
  const inputs = [io('x', 'float32', [1]), io('scale', 'float32', [1], true)]
  test('unknown, missing, optional', async () => {
    expect(await feed(inputs, { x: 1, y: 1 })).toBe('INPUT_UNKNOWN')
    expect(await feed(inputs, { scale: 1 })).toBe('INPUT_MISSING')
    expect(await feed(inputs, { x: undefined })).toBe('INPUT_MISSING')
    expect(Object.keys((await feed(inputs, { x: 1 })) as object)).toEqual(['x'])
    expect(Object.keys((await feed(inputs, { x: 1, scale: 2 })) as object)).toEqual(['x', 'scale'])
  })

  test('names that objects have by nature', async () => {
    expect(await feed([io('constructor', 'float32', [1])], {})).toBe('INPUT_MISSING')
    const odd = JSON.parse('{"__proto__": [1]}') as Record<string, unknown>
    expect(Object.keys((await feed([io('__proto__', 'float32', [1])], odd)) as object)).toEqual(['__proto__'])
  })
})

test('a float32 tensor is rounded for a float16 input', async () => {
  expect(await one('float16', [1], new Tensor('float32', [1], [1]))).toEqual(['float16', [1], [0x3c00]])
})

test('a tensor on a device is passed on untouched', async () => {
  const ort = fakeOrt(['x'])
  const raw = await ort.InferenceSession.create(new Uint8Array() as never, { executionProviders: ['cpu'] })
  const info = infoOf([io('x', 'float32', ['n'])])
  const session = wrapSession({ ort, raw, queue: serialQueue() }, info, { target: '', device: '', skipped: [] })()
  const tensor = new FakeTensor('float32', undefined, [4])
  tensor.location = 'gpu-buffer'
  await session.run({ x: new OnnxTensor<'float32', ['n']>(tensor) } as never)
  expect(ort.fed['x']).toBe(tensor)
})
