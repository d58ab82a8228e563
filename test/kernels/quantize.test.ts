import fc from 'fast-check'
import { Tensor } from 'onnxruntime-node'
import { describe, expect, test } from 'vitest'
import {
  CODE_RANGES,
  dequantize,
  type QuantizedType,
  quantize,
  quantizeBias,
  quantizePerChannel,
  roundHalfEven,
  scaleZeroPoint,
} from '../../src/kernels/index.ts'
import { anyBits, runNodes, unaligned, weights } from './data.ts'

const TYPES = { int8: 3, uint8: 2, int16: 5, uint16: 4 } as const
const ARRAYS = { int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array } as const

async function ortQuantize(x: Float32Array, type: keyof typeof TYPES, scale: number, zeroPoint: number) {
  const y = await runNodes(
    [{ op: 'QuantizeLinear', inputs: ['x', 's', 'z'], outputs: ['y'] }],
    { x: { type: 1, dims: ['n'] }, s: { type: 1, dims: [] }, z: { type: TYPES[type], dims: [] } },
    { type: TYPES[type], dims: ['n'] },
    {
      x: new Tensor('float32', x, [x.length]),
      s: new Tensor('float32', [scale], []),
      z: new Tensor(type, ARRAYS[type].of(zeroPoint), []),
    },
  )
  return y.data as Int8Array
}

/** The code of one value by the definition. */
function codeOf(x: number, type: QuantizedType, scale: number, zeroPoint: number): number {
  const [low, high] = CODE_RANGES[type].full
  const q = roundHalfEven(Math.fround(x / scale)) + zeroPoint
  return Number.isNaN(q) ? low : Math.min(Math.max(q, low), high)
}

/** Codes out of raw data. */
function unpack(bytes: Uint8Array<ArrayBuffer>, type: QuantizedType, length: number): number[] {
  const one = { scales: Float32Array.of(1), zeroPoints: Int32Array.of(0) }
  return [...dequantize(bytes, type, { outer: 1, channels: 1, inner: length }, one)]
}

describe.each(Object.keys(TYPES) as (keyof typeof TYPES)[])('per tensor to %s', (type) => {
  const [low, high] = CODE_RANGES[type].full
  test.each([low, Math.round((low + high) / 3), 0, high])(
    'zero point %d: the very codes of ONNX Runtime',
    async (zp) => {
      const zeroPoint = Math.max(low, zp)
      const scale = Math.fround(1 / (high - low))
      const ties = Float32Array.from({ length: 4001 }, (_, i) => (i - 2000) / 2)
      for (const [x, s] of [
        [weights(50_003, 1, 0.3), scale],
        [ties, 1],
        [anyBits(50_003, 2), 0.37],
        [Float32Array.of(0, -0, Infinity, -Infinity, Number.NaN, 1e38, -1e38), 1e-3],
      ] as const) {
        const ours = new ARRAYS[type](quantize(x, type, { scale: s, zeroPoint }).buffer)
        const expected = await ortQuantize(x, type, s, zeroPoint)
        expect(x.findIndex((_, i) => ours[i] !== expected[i])).toBe(-1)
      }
    },
  )
})

test('per channel, any layout and type: the definition', () => {
  const dims = fc.tuple(fc.nat(6), fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }))
  fc.assert(
    fc.property(
      dims,
      fc.constantFrom(...(Object.keys(CODE_RANGES) as QuantizedType[])),
      fc.nat(1000),
      ([outer, channels, inner], type, seed) => {
        const values = weights(outer * channels * inner, seed)
        const [low, high] = CODE_RANGES[type].full
        const scales = Float32Array.from({ length: channels }, (_, c) => (0.01 + c / 100) / (high - low))
        const zeroPoints = Int32Array.from({ length: channels }, (_, c) => low + ((c * 7) % (high - low + 1)))
        const bytes = quantizePerChannel(unaligned(values), { outer, channels, inner }, type, { scales, zeroPoints })
        const expected = [...values].map((v, i) => {
          const c = Math.floor(i / inner) % channels
          return codeOf(v, type, scales[c]!, zeroPoints[c]!)
        })
        expect(unpack(bytes, type, values.length)).toEqual(expected)
      },
    ),
  )
})

test('tensors of many chunks, and patterns longer than a chunk', () => {
  for (const [outer, channels, inner] of [
    [5, 40_001, 1],
    [3, 5, 30_001],
    [9000, 3, 5],
  ] as const)
    for (const type of ['int8', 'uint16', 'int4'] as const) {
      const values = weights(outer * channels * inner, inner)
      const scales = Float32Array.from({ length: channels }, (_, c) => 0.01 + (c % 9) / 100)
      const zeroPoints = Int32Array.from({ length: channels }, (_, c) => c % 5)
      const bytes = quantizePerChannel(values, { outer, channels, inner }, type, { scales, zeroPoints })
      const codes = unpack(bytes, type, values.length)
      const wrong = values.findIndex((v, i) => {
        const c = Math.floor(i / inner) % channels
        return codes[i] !== codeOf(v, type, scales[c]!, zeroPoints[c]!)
      })
      expect(wrong).toBe(-1)
    }
})

test('4-bit codes: the earlier one in the low nibble, an odd end padded with 0', () => {
  const unit = { scale: 1, zeroPoint: 0 }
  expect([...quantize(Float32Array.of(1, 2, 3), 'uint4', unit)]).toEqual([0x21, 0x03])
  expect([...quantize(Float32Array.of(-1, 7, -8, 9), 'int4', unit)]).toEqual([0x7f, 0x78])
  expect(quantize(new Float32Array(0), 'int4', unit)).toHaveLength(0)
})

test('results go into memory of the right size where given', () => {
  const into = new Uint8Array(3)
  const x = Float32Array.of(1, 2, 3)
  expect(quantize(x, 'int8', { scale: 1, zeroPoint: 0 }, into)).toBe(into)
  expect([...into]).toEqual([1, 2, 3])
  expect(() => quantize(x, 'int16', { scale: 1, zeroPoint: 0 }, into)).toThrow(RangeError)
})

test('float16 input is widened first', () => {
  const halves = Uint16Array.of(0x3c00, 0xc000, 0x3800) // 1, -2, 0.5
  expect([
    ...quantize({ dtype: 'float16', bytes: new Uint8Array(halves.buffer) }, 'uint8', { scale: 0.25, zeroPoint: 100 }),
  ]).toEqual([104, 92, 102])
})

test('parameters that do not fit the layout are refused', () => {
  const scales = { scales: new Float32Array(2), zeroPoints: new Int32Array(2) }
  expect(() => quantizePerChannel(new Float32Array(3), { outer: 1, channels: 3, inner: 1 }, 'int8', scales)).toThrow(
    RangeError,
  )
})

test('bias: int32, ties to even, clipped ones counted', () => {
  expect(quantizeBias(Float32Array.of(0.5, 1.5, -2.5, 1e30, -1e30), Float32Array.of(1))).toEqual({
    values: Int32Array.of(0, 2, -2, 2 ** 31 - 1, -(2 ** 31)),
    clipped: 2,
  })
  expect([...quantizeBias(Float32Array.of(1, 1), Float32Array.of(0.5, 0.25)).values]).toEqual([2, 4])
})

test('an 8-bit round trip errs by at most half a step', () => {
  const values = weights(1000, 5)
  const layout = { outer: 1, channels: 1, inner: 1000 }
  for (const options of [{ type: 'int8' }, { type: 'uint8' }, { type: 'int8', symmetric: false }] as const) {
    const { scale, zeroPoint } = scaleZeroPoint(Math.min(...values), Math.max(...values), options)
    const one = { scales: Float32Array.of(scale), zeroPoints: Int32Array.of(zeroPoint) }
    const back = dequantize(quantize(values, options.type, { scale, zeroPoint }), options.type, layout, one)
    expect(Math.max(...values.map((v, i) => Math.abs(v - back[i]!)))).toBeLessThanOrEqual(scale * 0.5001)
  }
})
