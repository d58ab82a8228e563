import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { int } from '../../src/graph/attributes.ts'
import { modelToProto } from '../../src/graph/export.ts'
import { Model } from '../../src/graph/model.ts'
import { halfToNumber, numberToHalf, packNumbers, unpackNumbers } from '../../src/graph/numbers.ts'
import { Tensor } from '../../src/graph/tensor.ts'
import { tensorType } from '../../src/graph/types.ts'
import { decodeModel } from '../../src/onnx/decode.ts'
import { codeOf, type DType } from '../../src/onnx/dtypes.ts'
import { encodeToBytes } from '../../src/onnx/encode.ts'
import { openSession } from '../../src/ort/session.ts'

describe('half precision', () => {
  test('all 65536 bit patterns keep their value', () => {
    for (let bits = 0; bits < 65536; bits++) {
      const value = halfToNumber(bits)
      if (Number.isNaN(value)) expect(Number.isNaN(halfToNumber(numberToHalf(value)))).toBe(true)
      else expect(numberToHalf(value)).toBe(bits)
    }
  })

  test('rounds as the Cast of ONNX Runtime', async () => {
    const model = new Model({ opset: 17 })
    const x = model.graph.addInput('x', tensorType('float32', ['n']))
    const y = model.graph.insert({ op: 'Cast', inputs: [x], attributes: { to: int(codeOf('float16')) } }).output()
    y.type = tensorType('float16', ['n'])
    model.graph.addOutput(y)
    const session = await openSession(encodeToBytes(modelToProto(model)))
    const values = Float32Array.from({ length: 20000 }, (_, i) =>
      Math.fround((i % 2 ? -1 : 1) * 2 ** ((i % 45) - 27) * (1 + ((i * 7919) % 4096) / 4096)),
    )
    const { [y.name]: cast } = await session.run({ x: Tensor.float32([values.length], values) })
    await session.release()
    expect(packNumbers('float16', [...values])).toEqual(cast!.bytes())
  })
})

describe('numbers of every type', () => {
  const ranges: [DType, number, number][] = [
    ['int8', -128, 127],
    ['uint8', 0, 255],
    ['int16', -32768, 32767],
    ['uint16', 0, 65535],
    ['int32', -(2 ** 31), 2 ** 31 - 1],
    ['uint32', 0, 2 ** 32 - 1],
    ['int64', -Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
    ['uint64', 0, Number.MAX_SAFE_INTEGER],
    ['int4', -8, 7],
    ['uint4', 0, 15],
    ['int2', -2, 1],
    ['uint2', 0, 3],
  ]
  test.each(ranges)('%s: packed and read again', (dtype, min, max) => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min, max }), { maxLength: 9 }), (values) => {
        expect(unpackNumbers(dtype, packNumbers(dtype, values), values.length)).toEqual(values)
      }),
    )
  })
})

/** Wire form of one field: packed list (wire type 2) or single values. */
function field(number: number, wire: number, payload: readonly number[]): number[] {
  return wire === 2 ? [(number << 3) | 2, payload.length, ...payload] : [(number << 3) | wire, ...payload]
}

describe('old-style data, as numbers in lists', () => {
  const read = (dtype: DType, dims: number[], data: number[]): number[] => {
    const tensor = [
      ...dims.flatMap((dim) => field(1, 0, [dim])),
      ...field(2, 0, [codeOf(dtype)]),
      ...data,
      ...field(8, 2, [119]),
    ]
    const graph = field(5, 2, tensor)
    const model = decodeModel(Uint8Array.from([...field(1, 0, [8]), ...field(7, 2, graph)]))
    return Tensor.fromProto(model.graph!.initializer![0]!).toNumbers()
  }
  const one = [0, 0, 0x80, 0x3f]
  const two = [0, 0, 0, 0x40]

  test('packed, unpacked, and split into chunks', () => {
    expect(read('float32', [2], field(4, 2, [...one, ...two]))).toEqual([1, 2])
    expect(read('float32', [2], [...field(4, 5, one), ...field(4, 5, two)])).toEqual([1, 2])
    expect(read('float32', [2], [...field(4, 2, one), ...field(4, 2, two)])).toEqual([1, 2])
  })
  test('negative numbers are ten bytes on the wire', () => {
    const minusOne = [255, 255, 255, 255, 255, 255, 255, 255, 255, 1]
    expect(read('int32', [2], field(5, 2, [...minusOne, 5]))).toEqual([-1, 5])
    expect(read('int8', [1], field(5, 2, minusOne))).toEqual([-1])
    expect(read('int64', [2], field(7, 2, [...minusOne, 0x80, 1]))).toEqual([-1, 128])
  })
  test('half precision comes as bit patterns, uint64 as it is', () => {
    expect(read('float16', [1], field(5, 2, [0x80, 0x78]))).toEqual([1])
    expect(read('uint64', [1], field(11, 2, [0xac, 2]))).toEqual([300])
    expect(read('uint8', [3], field(5, 2, [1, 0xff, 1, 3]))).toEqual([1, 255, 3])
  })
  test('too few numbers are an error with the name of the tensor', () => {
    expect(() => read('float32', [3], field(4, 2, one))).toThrow(/tensor "w" of float32 \[3\]/)
  })
})
