import { Tensor } from 'onnxruntime-node'
import { describe, expect, test } from 'vitest'
import {
  FLOAT16_SMALLEST,
  type FloatInput,
  roundToFloat16,
  toBfloat16,
  toFloat16,
  toFloat32,
  writeFloat16,
} from '../../src/kernels/index.ts'
import { anyBits, runNodes, unaligned, weights } from './data.ts'

const FLOAT = 1
const FLOAT16 = 10
const FLOAT64 = 11
const BFLOAT16 = 16
const noLimits = { largest: Number.POSITIVE_INFINITY }

/** Casts in ONNX Runtime along a list of types, the first being that of the input. */
async function cast(input: Tensor, types: number[]): Promise<Tensor> {
  const nodes = types.slice(1).map((to, i) => ({
    op: 'Cast',
    inputs: [i === 0 ? 'x' : `t${i}`],
    outputs: [i === types.length - 2 ? 'y' : `t${i + 1}`],
    attributes: { to },
  }))
  const value = (type: number) => ({ type, dims: ['n'] })
  return runNodes(nodes, { x: value(types[0]!) }, value(types.at(-1)!), { x: input })
}

const float = (values: Float32Array) => new Tensor('float32', values, [values.length])
const bits = (values: Float32Array) => new Uint32Array(values.buffer, values.byteOffset, values.length)
const halfBytes = (values: Uint16Array, dtype: 'float16' | 'bfloat16'): FloatInput => ({
  dtype,
  bytes: new Uint8Array(values.buffer),
})
const everyHalf = Uint16Array.from({ length: 65536 }, (_, i) => i)
const isNanHalf = (h: number) => (h & 0x7fff) > 0x7c00

/** Floats on and next to every point where rounding to half decides. */
function halfwayPoints(): Float32Array {
  const halves = toFloat32(halfBytes(everyHalf, 'float16'))
  const out: number[] = []
  for (let i = 0; i < 0x7bff; i++) {
    const middle = Math.fround((halves[i]! + halves[i + 1]!) / 2)
    const pattern = bits(Float32Array.of(middle))[0]!
    for (const near of [pattern - 1, pattern, pattern + 1])
      out.push(new Float32Array(Uint32Array.of(near).buffer)[0]!, -new Float32Array(Uint32Array.of(near).buffer)[0]!)
  }
  return Float32Array.from(out)
}

describe('float32 to float16', () => {
  test('agrees with ONNX Runtime on arbitrary bits', async () => {
    const x = anyBits(300_007, 1)
    const { values } = toFloat16(x, noLimits)
    const expected = (await cast(float(x), [FLOAT, FLOAT16])).data as unknown as Uint16Array
    const wrong = x.findIndex((v, i) => (Number.isNaN(v) ? !isNanHalf(values[i]!) : values[i] !== expected[i]))
    expect(wrong).toBe(-1)
  })

  test('agrees with ONNX Runtime around every rounding boundary', async () => {
    const x = Float32Array.of(
      ...halfwayPoints().subarray(0, 60000),
      65503,
      65504,
      65519.99,
      65520,
      65536,
      1e30,
      -65520,
      Infinity,
      -Infinity,
      0,
      -0,
    )
    const all = [x, halfwayPoints()]
    for (const values of all) {
      const expected = (await cast(float(values), [FLOAT, FLOAT16])).data as unknown as Uint16Array
      expect(
        Buffer.from(toFloat16(values, noLimits).values.buffer).equals(Buffer.from(new Uint16Array(expected).buffer)),
      ).toBe(true)
    }
  })

  test('clips what is too large and reports it', () => {
    const x = Float32Array.of(70000, -70000, 65504, 1, Number.NaN, Infinity, -Infinity, 65510)
    const result = toFloat16(x)
    expect([...result.values]).toEqual([0x7bff, 0xfbff, 0x7bff, 0x3c00, 0x7e00, 0x7c00, 0xfc00, 0x7bff])
    expect(result).toMatchObject({ clipped: 3, raised: 0, flushed: 0, subnormal: 0, overflowed: 0, maxAbs: 70000 })
    expect(toFloat16(x, noLimits)).toMatchObject({ clipped: 0, overflowed: 2 })
  })

  test('raises what is too small only when asked, and reports what is lost', () => {
    const x = Float32Array.of(-1e-9, 1e-9, 1e-5, 0, -0, 1)
    expect([...toFloat16(x).values]).toEqual([0x8000, 0, 0x00a8, 0, 0x8000, 0x3c00])
    expect(toFloat16(x)).toMatchObject({ raised: 0, flushed: 2, subnormal: 1 })
    const raised = toFloat16(x, { smallest: FLOAT16_SMALLEST })
    expect([...raised.values]).toEqual([0x8001, 0x0001, 0x00a8, 0, 0x8000, 0x3c00])
    expect(raised).toMatchObject({ raised: 2, flushed: 0, subnormal: 3 })
  })

  test('counts subnormal and flushed as the bits of the result say', () => {
    const x = halfwayPoints()
    const { values, subnormal, flushed } = toFloat16(x)
    const tiny = values.reduce((n, h) => n + ((h & 0x7fff) > 0 && (h & 0x7fff) < 0x400 ? 1 : 0), 0)
    const zero = values.reduce((n, h, i) => n + ((h & 0x7fff) === 0 && x[i] !== 0 ? 1 : 0), 0)
    expect({ subnormal, flushed }).toEqual({ subnormal: tiny, flushed: zero })
    expect(tiny).toBeGreaterThan(1000)
  })

  test('a report is the same whether or not other values in the tensor are out of limits', () => {
    const x = weights(2000, 7, 0.001)
    const { values, ...report } = toFloat16(x)
    const withInfinity = toFloat16(Float32Array.of(...x, Infinity))
    expect(withInfinity).toEqual({ values: Uint16Array.of(...values, 0x7c00), ...report })
    expect(report.subnormal).toBeGreaterThan(10)
  })

  test('every length and offset gives the same halves', () => {
    const x = weights(200, 2, 3)
    const whole = toFloat16(x).values
    for (let length = 0; length < 70; length++) {
      expect(toFloat16(unaligned(x.subarray(3, 3 + length))).values).toEqual(whole.slice(3, 3 + length))
    }
  })

  test('writes into memory that is given, wherever it starts', () => {
    const bytes = new Uint8Array(7)
    expect(writeFloat16(Float32Array.of(1, 2), bytes.subarray(1, 5))).toMatchObject({ maxAbs: 2 })
    expect([...bytes]).toEqual([0, 0, 0x3c, 0, 0x40, 0, 0])
    expect(() => writeFloat16(Float32Array.of(1), bytes)).toThrow(RangeError)
  })

  test('refuses limits that no half can honour', () => {
    expect(() => toFloat16(new Float32Array(1), { largest: 1e5 })).toThrow(RangeError)
    expect(() => toFloat16(new Float32Array(1), { smallest: 1e-9 })).toThrow(RangeError)
  })
})

test('all 65536 halves become the float32 values ONNX Runtime gives, and come back', async () => {
  const wide = toFloat32(halfBytes(everyHalf, 'float16'))
  const expected = (await cast(new Tensor('float16', everyHalf, [65536]), [FLOAT16, FLOAT])).data as Float32Array
  const wrong = everyHalf.findIndex((h) =>
    isNanHalf(h) ? !Number.isNaN(wide[h]!) : bits(wide)[h] !== bits(expected)[h],
  )
  expect(wrong).toBe(-1)
  const back = toFloat16(wide, noLimits).values
  expect(everyHalf.findIndex((h) => back[h] !== (isNanHalf(h) ? h | 0x200 : h))).toBe(-1)
})

test('bfloat16 both ways agrees with ONNX Runtime', async () => {
  const x = anyBits(100_003, 3)
  const ours = toFloat32(halfBytes(toBfloat16(x), 'bfloat16'))
  const expected = (await cast(float(x), [FLOAT, BFLOAT16, FLOAT])).data as Float32Array
  const wrong = x.findIndex((v, i) => (Number.isNaN(v) ? !Number.isNaN(ours[i]!) : bits(ours)[i] !== bits(expected)[i]))
  expect(wrong).toBe(-1)
})

test('float64 is rounded to float32 once', async () => {
  const x = Float64Array.from(weights(1001, 4), (v, i) => v * (1 + 1e-9 * i) * 10 ** ((i % 90) - 45))
  const ours = toFloat32({ dtype: 'float64', bytes: new Uint8Array(x.buffer) })
  expect(ours).toEqual(Float32Array.from(x))
  expect(ours).toEqual((await cast(new Tensor('float64', x, [x.length]), [FLOAT64, FLOAT])).data)
})

test('the scalar rounding to float16 agrees with the vector one', () => {
  for (const x of [halfwayPoints(), anyBits(20_000, 5)]) {
    const wide = toFloat32(halfBytes(toFloat16(x, noLimits).values, 'float16'))
    expect(x.findIndex((v, i) => !Object.is(roundToFloat16(v), wide[i]))).toBe(-1)
  }
})
