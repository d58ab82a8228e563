import fc from 'fast-check'
import { expect, test } from 'vitest'
import { absMax, allFinite, channelLayout, type FloatInput, minMax, minMaxPerChannel } from '../../src/kernels/index.ts'
import { unaligned, weights } from './data.ts'

/** One value at a time, as the definition says. */
function reference(values: Float32Array, channels: number, inner: number) {
  const min = new Float32Array(channels).fill(Number.POSITIVE_INFINITY)
  const max = new Float32Array(channels).fill(Number.NEGATIVE_INFINITY)
  let nan = 0
  let infinite = 0
  values.forEach((v, i) => {
    const c = Math.floor(i / inner) % channels
    if (v < min[c]!) min[c] = v
    if (v > max[c]!) max[c] = v
    if (Number.isNaN(v)) nan++
    else if (!Number.isFinite(v)) infinite++
  })
  return { min, max, nan, infinite }
}

/** -0 and 0 are the same bound. */
const plain = (r: { min: Float32Array; max: Float32Array }) => ({
  ...r,
  min: [...r.min].map((v) => v + 0),
  max: [...r.max].map((v) => v + 0),
})

test('any layout, any values: the same as one value at a time', () => {
  const dims = fc.tuple(fc.nat(9), fc.integer({ min: 1, max: 70 }), fc.integer({ min: 1, max: 40 }))
  fc.assert(
    fc.property(
      dims,
      fc.array(fc.float({ noDefaultInfinity: false }), { minLength: 1, maxLength: 50 }),
      ([outer, channels, inner], some) => {
        const values = weights(outer * channels * inner, channels)
        some.forEach((v, i) => {
          if (values.length) values[(i * 7919) % values.length] = v
        })
        expect(plain(minMaxPerChannel(unaligned(values), { outer, channels, inner }))).toEqual(
          plain(reference(values, channels, inner)),
        )
      },
    ),
  )
})

test('tensors of many chunks, and patterns longer than a chunk', () => {
  for (const [outer, channels, inner] of [
    [7, 40_000, 1],
    [3, 5, 30_001],
    [9000, 3, 5],
    [1, 90_000, 2],
    [1, 1, 200_001],
  ] as const) {
    const values = weights(outer * channels * inner, inner)
    expect(plain(minMaxPerChannel(values, { outer, channels, inner }))).toEqual(
      plain(reference(values, channels, inner)),
    )
  }
})

test('a tensor read from a reader, in another float type', () => {
  const values = Float64Array.from(weights(100_000, 9))
  values[77_777] = 12.5
  const bytes = new Uint8Array(values.buffer)
  const input: FloatInput = {
    dtype: 'float64',
    bytes: {
      byteLength: bytes.length,
      read: (target, offset) => target.set(bytes.subarray(offset, offset + target.length)),
    },
  }
  expect(minMax(input).max).toBe(12.5)
})

test('whole tensors', () => {
  expect(minMax(new Float32Array(0))).toEqual({ min: Infinity, max: -Infinity, nan: 0, infinite: 0 })
  expect(minMax(Float32Array.of(1, Number.NaN, -Infinity))).toEqual({ min: -Infinity, max: 1, nan: 1, infinite: 1 })
  expect(absMax(Float32Array.of(1, -3, Number.NaN))).toBe(3)
  expect(absMax(new Float32Array(0))).toBe(0)
  for (const at of [0, 15, 16, 99_998]) {
    const values = weights(99_999, at)
    expect(allFinite(values)).toBe(true)
    values[at] = Number.NaN
    expect(allFinite(values)).toBe(false)
    values[at] = -Infinity
    expect(allFinite(values)).toBe(false)
  }
})

test('layouts that do not fit are refused', () => {
  expect(() => minMaxPerChannel(new Float32Array(5), { outer: 1, channels: 2, inner: 2 })).toThrow(RangeError)
  expect(() => minMax({ dtype: 'float32', bytes: new Uint8Array(5) })).toThrow(RangeError)
  expect(channelLayout([2, 3, 4, 5], -3)).toEqual({ outer: 2, channels: 3, inner: 20 })
  expect(() => channelLayout([2, 3], 2)).toThrow(RangeError)
})
