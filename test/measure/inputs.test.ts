import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { int } from '../../src/graph/attributes.ts'
import { readModel } from '../../src/graph/import.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import { tensorType } from '../../src/graph/types.ts'
import { generateInputs } from '../../src/measure/inputs/generate.ts'
import { feedsFor } from '../../src/measure/inputs/index.ts'
import { readInputs } from '../../src/measure/inputs/read.ts'
import { bind, SIZES } from '../../src/measure/inputs/sizes.ts'
import { IsolatedOrt } from '../../src/measure/isolated.ts'
import { writeMessage } from '../../src/onnx/codec.ts'
import { SegmentWriter } from '../../src/onnx/wire.ts'
import { draw } from '../support/rules.ts'
import { hasShared, shared } from '../support/shared.ts'
import { temporaryFolder } from '../support/temporary.ts'

const sizes = SIZES[0]!

describe('made from the graph', () => {
  test('ids stay within the table that they look up, also through a Cast and an Unsqueeze', async () => {
    const model = await draw(({ input, op, weight, constant }) => {
      const ids = op.Unsqueeze(
        op.Cast(input('ids', ['batch', 'sequence'], 'int32'), { to: 7 }),
        constant(Tensor.int64([0])),
      )
      return op.Gather(weight([7, 4]), ids)
    })
    const feeds = generateInputs(model, 4, sizes)
    const numbers = feeds.flatMap(({ ids }) => ids!.toNumbers())
    expect(Math.max(...numbers)).toBeLessThan(7)
    expect(Math.min(...numbers)).toBeGreaterThanOrEqual(0)
    expect(new Set(numbers).size).toBeGreaterThan(4)
    expect(feeds[0]!['ids']!.dims).toEqual([2, 16])
  })

  test('bytes that are fed as floats are whole numbers within the table', async () => {
    const model = await draw(({ input, op, weight }) =>
      op.Gather(weight([256, 2]), op.Cast(input('bytes', ['n', 8]), { to: 7 })),
    )
    const numbers = generateInputs(model, 2, sizes).flatMap(({ bytes }) => bytes!.toNumbers())
    expect(numbers.every((x) => Number.isInteger(x) && x >= 0 && x < 256)).toBe(true)
    expect(Math.max(...numbers)).toBeGreaterThan(1)
  })

  test('masks are ones, padded right, padded left, with holes', async () => {
    const model = await draw(({ input, op }) =>
      op.Cast(input('attention_mask', ['batch', 'sequence'], 'int64'), { to: 1 }),
    )
    const rows = generateInputs(model, 4, sizes).map(({ attention_mask }) =>
      attention_mask!.toNumbers().slice(0, 16).join(''),
    )
    expect(rows[0]).toBe('1'.repeat(16))
    expect(rows[1]).toMatch(/^1+0+$/)
    expect(rows[2]).toMatch(/^0+1+$/)
    expect(rows[3]).toMatch(/^1.*01.*1$/)
  })

  test('roles tell what names do not; one of an input that there is not is an error', async () => {
    const model = await draw(({ input, op }) =>
      op.Add(
        op.Cast(input('a', ['batch', 'sequence'], 'int64'), { to: 1 }),
        op.Cast(input('b', ['batch', 1], 'int64'), { to: 1 }),
      ),
    )
    const roles = new Map([
      ['a', 'mask'],
      ['b', 'lengths'],
    ] as const)
    const feeds = generateInputs(model, 2, sizes, { roles })
    expect(feeds[1]!['a']!.toNumbers().slice(0, 16).join('')).toMatch(/^1+0+$/)
    expect(feeds[0]!['b']!.toNumbers().every((length) => length > 1 && length <= 16)).toBe(true)
    expect(() => generateInputs(model, 1, sizes, { roles: new Map([['c', 'ids'] as const]) })).toThrow(/no input "c"/)
  })

  test('dimensions of one name are equal, sums of names are sums', () => {
    expect(bind(['batch', 'past_sequence_length + sequence_length'], sizes)).toEqual([2, 20])
    expect(bind(['batch_size', 4, 'past_sequence_length', 8], sizes)).toEqual([2, 4, 4, 8])
    expect(bind([null, 3, null, null], sizes)).toEqual([2, 3, 32, 32])
  })

  test('images are between 0 and 1, and smooth; the same on every run', async () => {
    const model = await draw(({ input, op }) => op.Relu(input('pixels', [1, 3, 16, 16])))
    const [feeds] = generateInputs(model, 1, sizes)
    const numbers = feeds!['pixels']!.toNumbers()
    expect(numbers.every((x) => x >= 0 && x <= 1)).toBe(true)
    const steps = numbers.slice(1, 16).map((x, i) => Math.abs(x - numbers[i]!))
    expect(Math.max(...steps)).toBeLessThan(0.3)
    expect(generateInputs(model, 1, sizes)[0]!['pixels']!.toNumbers()).toEqual(numbers)
  })
})

describe('from files', () => {
  const model = () =>
    draw(({ input, op }) => op.Add(input('x', ['n', 2]), op.Cast(input('k', ['n', 2], 'int64'), { to: 1 })))
  const write = (file: string, name: string, tensor: Tensor): void => {
    const writer = new SegmentWriter()
    writeMessage('TensorProto', tensor.toProto(name), writer)
    writeFileSync(file, writer.finish())
  }

  test('folders of input_0.pb, by name or by place; kinds of numbers may differ in width', async () => {
    const folder = join(temporaryFolder(), 'test_data_set_0')
    mkdirSync(folder)
    write(join(folder, 'input_0.pb'), 'x', Tensor.from('float64', [1, 2], [1, 2]))
    write(join(folder, 'input_1.pb'), '', Tensor.from('int32', [1, 2], [3, 4]))
    const [feeds, ...rest] = readInputs(folder, await model())
    expect(rest).toEqual([])
    expect(feeds!['x']).toMatchObject({ dtype: 'float32', dims: [1, 2] })
    expect(feeds!['k']!.toNumbers()).toEqual([3, 4])
  })

  test('a missing array, a wrong shape and a wrong type are named', async () => {
    const folder = temporaryFolder()
    write(join(folder, 'input_0.pb'), 'x', Tensor.float32([1, 2], [1, 2]))
    const drawn = await model()
    expect(() => readInputs(folder, drawn)).toThrow(/no array "k"/)
    write(join(folder, 'input_1.pb'), 'k', Tensor.float32([1, 2], [1, 2]))
    expect(() => readInputs(folder, drawn)).toThrow(/"k" is float32, the model takes int64/)
    write(join(folder, 'input_1.pb'), 'k', Tensor.int64([1, 2, 3], [1, 3]))
    expect(() => readInputs(folder, drawn)).toThrow(/"k" has the shape \[1,3\], the model takes \[n,2\]/)
    expect(() => readInputs(join(folder, 'nowhere.npz'), drawn)).toThrow(/no inputs at/)
  })

  test.skipIf(!hasShared)('many rows in a .npz file become several feeds', () => {
    const feeds = readInputs(shared('own/digits-calib.npz'), readModelWithInput())
    expect(feeds.length).toBeGreaterThan(1)
    expect(Object.values(feeds[0]!)[0]!.dims[0]).toBe(16)
  })

  function readModelWithInput() {
    const model = readModel(shared('own/digits-cnn.onnx'))
    model.graph.inputs[0]!.name = 'images'
    return model
  }
})

describe('for operators that generate text', () => {
  test('lengths, beams and penalties are what the operator takes', async () => {
    const model = await draw(({ graph, input }) => {
      const names = ['ids', 'max', 'min', 'beams', 'results'].map((name, i) =>
        input(name, i ? [1] : ['batch', 'sequence'], 'int32'),
      )
      const penalties = ['length', 'repetition'].map((name) => input(name, [1]))
      const node = graph.insert({
        op: 'BeamSearch',
        domain: 'com.microsoft',
        inputs: [...names, ...penalties],
        attributes: { vocab_size: int(11) },
        types: [tensorType('int32')],
      })
      return node.output()
    })
    const [feeds] = generateInputs(model, 1, sizes)
    const single = Object.entries(feeds!).flatMap(([name, { dims }]) =>
      dims.length === 1 ? [[name, feeds![name]!.toNumbers()[0]]] : [],
    )
    expect(Object.fromEntries(single)).toEqual({ max: 24, min: 1, beams: 2, results: 1, length: 1, repetition: 1 })
    const ids = feeds!['ids']!.toNumbers()
    expect([feeds!['ids']!.dims, Math.max(...ids) < 11, new Set(ids).size > 4]).toEqual([[2, 16], true, true])
  })

  test.skipIf(!hasShared).each(['real/tiny-gpt2-beamsearch.onnx', 'real/tract-qtdnn.onnx', 'own/tiny-t5-decoder.onnx'])(
    '%s runs with made-up inputs',
    async (file) => {
      const ort = new IsolatedOrt()
      const session = await ort.open(shared(file))
      const feeds = await feedsFor(readModel(shared(file)), session, { files: [], samples: 4 })
      expect(feeds).toHaveLength(4)
      for (const feed of feeds) expect(Object.keys(await session.run(feed)).length).toBeGreaterThan(0)
      ort.close()
    },
  )
})
