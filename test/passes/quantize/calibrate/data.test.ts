import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { zipSync } from 'fflate'
import { describe, expect, test } from 'vitest'
import type { Model } from '../../../../src/graph/model.ts'
import type { Tensor } from '../../../../src/graph/tensor.ts'
import type { DType } from '../../../../src/onnx/dtypes.ts'
import { type DataOptions, type Feeds, openData } from '../../../../src/passes/quantize/calibrate/data/index.ts'
import { feedOf } from '../../../../src/passes/quantize/calibrate/data/values.ts'
import { buildModel } from '../../../support/models.ts'
import { temporaryFolder } from '../../../support/temporary.ts'

/** A `.npy` file. */
function npy(descr: string, dims: readonly number[], data: Uint8Array): Uint8Array {
  const shape = dims.length === 1 ? `${dims[0]},` : dims.join(', ')
  const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape}), }`
  const padded = header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11)
  const head = Buffer.from(`\x93NUMPY\x01\x00\x00\x00${padded}\n`, 'latin1')
  head.writeUInt16LE(padded.length + 1, 8)
  return new Uint8Array(Buffer.concat([head, data]))
}

const floats = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer)

/** A model of `Add`s with these inputs. */
function modelOf(inputs: Record<string, readonly [DType, readonly (number | string)[]]>): Model {
  return buildModel(17, (graph, input) =>
    Object.entries(inputs).map(([name, [dtype, dims]]) =>
      graph.insert({ op: 'Identity', inputs: [input(name, dims, dtype)] }).output(),
    ),
  )
}

const one = (): Model => modelOf({ x: ['float32', ['batch', 2]] })

async function read(model: Model, options: DataOptions): Promise<Record<string, unknown>[]> {
  const samples: Record<string, unknown>[] = []
  const shown = (tensor: Tensor): unknown => [tensor.dtype, [...tensor.dims], tensor.toNumbers()]
  for await (const feeds of openData(model, options).open() as AsyncIterable<Feeds>)
    samples.push(Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, shown(tensor)])))
  return samples
}

function file(name: string, content: string | Uint8Array): string {
  const path = join(temporaryFolder(), name)
  writeFileSync(path, content)
  return path
}

const npz = (arrays: Record<string, Uint8Array>): string =>
  file('data.npz', zipSync(Object.fromEntries(Object.entries(arrays).map(([key, value]) => [`${key}.npy`, value]))))

const x = (...values: number[]): Record<string, unknown> => ({ x: ['float32', [1, 2], values] })

describe('reads', () => {
  test('a .npz by name of the input, row by row', async () => {
    const path = npz({ x: npy('<f4', [2, 2], floats(1, 2, 3, 4)), y: npy('<f4', [1], floats(0)) })
    expect(await read(one(), { calibration: path })).toEqual([x(1, 2), x(3, 4)])
    expect(await read(one(), { calibration: path, calibrationSamples: 1 })).toEqual([x(1, 2)])
  })

  test('the only array that fits, or one under another name', async () => {
    const labels = npy('<i8', [2], new Uint8Array(16))
    const path = npz({ images: npy('<f4', [2, 2], floats(1, 2, 3, 4)), labels })
    expect(await read(one(), { calibration: path })).toHaveLength(2)
    const both = npz({ a: npy('<f4', [1, 2], floats(1, 2)), b: npy('<f4', [1, 2], floats(3, 4)) })
    await expect(read(one(), { calibration: both })).rejects.toThrow(
      /more than one of the arrays may be the input x.*"a" float32 \[1, 2\], "b" float32 \[1, 2\]/,
    )
    expect(await read(one(), { calibration: both, calibrationInputs: { b: 'x' } })).toEqual([x(3, 4)])
  })

  test('names and dimensions of arrays when none is the input', async () => {
    const two = modelOf({ x: ['float32', ['n', 2]], y: ['float32', ['n', 2]] })
    const path = npz({ a: npy('<f4', [1, 2], floats(1, 2)) })
    const refused = /no input of the model has an array: the file has "a" float32 \[1, 2\]/
    await expect(read(two, { calibration: path })).rejects.toThrow(refused)
    await expect(read(one(), { calibration: path, calibrationInputs: { b: 'x' } })).rejects.toThrow(refused)
    const flat = file('flat.npy', npy('<f4', [2], floats(1, 2)))
    await expect(read(modelOf({ x: ['float32', [1, 1, 2, 1]] }), { calibration: flat })).rejects.toThrow(
      /no array fits the input x .*: the file has float32 \[2\]/,
    )
    await expect(read(one(), { calibration: npz({}) })).rejects.toThrow(/the file holds no arrays/)
  })

  test('a sample axis in front of the axes of the input', async () => {
    const path = file('data.npy', npy('<f4', [2, 1, 2], floats(1, 2, 3, 4)))
    expect(await read(one(), { calibration: path })).toEqual([x(1, 2), x(3, 4)])
  })

  test('groups of arrays of different shapes', async () => {
    const model = modelOf({ x: ['float32', ['n']] })
    const path = npz({ 's0.x': npy('<f4', [1], floats(1)), 's1.x': npy('<f4', [3], floats(1, 2, 3)) })
    expect(await read(model, { calibration: path })).toEqual([
      { x: ['float32', [1], [1]] },
      { x: ['float32', [3], [1, 2, 3]] },
    ])
  })

  test('integers of another width, and float64', async () => {
    const model = modelOf({ ids: ['int64', ['n']], x: ['float32', ['n']] })
    const ids = npy('<i4', [1], new Uint8Array(Int32Array.of(7).buffer))
    const path = npz({ ids, x: npy('<f8', [1], new Uint8Array(Float64Array.of(0.5).buffer)) })
    expect(await read(model, { calibration: path })).toEqual([{ ids: ['int64', [1], [7]], x: ['float32', [1], [0.5]] }])
  })

  test('JSON lines, nested or with type and dims', async () => {
    const path = file('data.jsonl', '{"x": [[1, 2]]}\n\n{"x": {"dims": [1, 2], "data": [3, 4]}}\n')
    expect(await read(one(), { calibration: path })).toEqual([x(1, 2), x(3, 4)])
  })

  test.each([
    ['an array', 'export default [{ x: Float32Array.of(1, 2) }]'],
    ['a function', 'export default () => [{ x: [[1, 2]] }]'],
    ['an async generator function', 'export default async function* () { yield { x: [[1, 2]] } }'],
    ['a generator that is used up', 'export default (function* () { yield { x: [[1, 2]] } })()'],
  ])('a module that exports %s, as often as needed', async (_, code) => {
    const path = file('data.mjs', code)
    const data = openData(one(), { calibration: path })
    for (let time = 0; time < 2; time++) {
      const samples = []
      for await (const feeds of data.open()) samples.push(feeds['x']!.toNumbers())
      expect(samples).toEqual([[1, 2]])
    }
  })

  test('ONNX test data, in the order of its numbers', async () => {
    const folder = temporaryFolder()
    for (const [set, value] of [
      [10, 3],
      [2, 1],
    ] as const) {
      mkdirSync(join(folder, `test_data_set_${set}`))
      // dims [1, 2], float32, raw data; no name.
      const bytes = [8, 1, 8, 2, 16, 1, 74, 8, ...floats(value, value + 1)]
      writeFileSync(join(folder, `test_data_set_${set}/input_0.pb`), Uint8Array.from(bytes))
    }
    expect(await read(one(), { calibration: folder })).toEqual([x(1, 2), x(3, 4)])
  })
})

describe('refuses', () => {
  const cases: readonly [string, () => string, RegExp][] = [
    ['what is not there', () => '/nowhere/data.npz', /there is no such calibration data/],
    ['an unknown kind of file', () => file('data.csv', '1,2'), /can't be read from a file of this kind/],
    ['an empty folder', () => temporaryFolder(), /neither test data nor images/],
    ['an empty file', () => file('data.jsonl', '\n'), /holds no samples/],
    [
      'no array of that name',
      () => npz({ a: npy('<f4', [2, 3], floats(1, 2, 3, 4, 5, 6)), b: npy('<f4', [2, 3], floats(1, 2, 3, 4, 5, 6)) }),
      /may be the input/,
    ],
    [
      'another shape',
      () => npz({ x: npy('<f4', [1, 3], floats(1, 2, 3)) }),
      /"x" is float32 \[1, 3\]: dimension 1 is 3 instead of 2/,
    ],
    ['another kind of element', () => npz({ x: npy('|b1', [1, 2], Uint8Array.of(0, 1)) }), /it must be float32/],
    ['missing inputs', () => file('data.jsonl', '{"y": [1]}'), /sample 0 has no data for "x"/],
    ['lines that are no JSON', () => file('data.jsonl', '{"x": [[1, 2]]}\n{'), /line 2 is no JSON/],
    ['ragged arrays', () => file('data.jsonl', '{"x": [[1, 2], [3]]}'), /different lengths/],
    ['a module that is not iterable', () => file('data.mjs', 'export default 1'), /no iterable of feeds/],
    ['a module that does not load', () => file('data.mjs', 'throw new Error("no network")'), /no network/],
    [
      'a generator that throws midway',
      () => file('data.mjs', 'export default function* () { yield { x: [[1, 2]] }; throw new Error("disk gone") }'),
      /failed at sample 1: disk gone/,
    ],
    ['samples that are no objects', () => file('data.mjs', 'export default [1]'), /sample 0 is no object/],
    ['a damaged .npz', () => file('data.npz', 'PK'), /no sound \.npz/],
  ]
  test.each(cases)('%s', async (_, calibration, message) => {
    await expect(read(one(), { calibration: calibration() })).rejects.toThrow(message)
  })

  test('a mapping to an input that the model does not have', async () => {
    const path = npz({ x: npy('<f4', [1, 2], floats(1, 2)) })
    await expect(read(one(), { calibration: path, calibrationInputs: { x: 'image' } })).rejects.toThrow(
      /no input "image"/,
    )
  })
})

test('fractions for an input of whole numbers are told, with what it must hold', () => {
  const inputs = [{ name: 'ids', dtype: 'int64', shape: [1, 2], optional: false }] as const
  expect(() => feedOf({ ids: [[1.5, 2]] }, inputs, {}, 'line 1', 'data.jsonl')).toThrowError(
    expect.objectContaining({
      code: 'CALIBRATION_DATA',
      message: expect.stringContaining('input "ids" of line 1: 1.5 is no whole number'),
      hint: 'It must hold ids (int64 [1, 2]).',
    }),
  )
})
