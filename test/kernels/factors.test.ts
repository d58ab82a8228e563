import { expect, test } from 'vitest'
import { channelLayout, type FloatData, meanSquares, toFloat32, withFactors } from '../../src/kernels/index.ts'
import { unaligned, weights } from './data.ts'

const values = weights(6 * 40000, 3)
const reader: FloatData = {
  dtype: 'float32',
  bytes: {
    byteLength: values.byteLength,
    read: (target, offset) => target.set(new Uint8Array(values.buffer, offset, target.length)),
  },
}

test.each([
  ['in memory', unaligned(values)],
  ['read piece by piece', reader],
  ['an array', values],
])('every channel times its factor: %s', (_, input) => {
  for (const [dims, axis] of [
    [[6, 40000], 0],
    [[40000, 6], 1],
    [[40, 6, 1000], 1],
  ] as const) {
    const factors = Float32Array.of(1, 0, 2, -0.5, 3, 1.25)
    const { inner } = channelLayout(dims, axis)
    const expected = values.map((value, i) => value * factors[Math.floor(i / inner) % 6]!)
    const actual = toFloat32(withFactors(input, channelLayout(dims, axis), factors))
    expect(
      Buffer.compare(Buffer.from(actual.map((v) => v + 0).buffer), Buffer.from(expected.map((v) => v + 0).buffer)),
    ).toBe(0)
  }
})

test('a factor of 0 removes NaN too, and the input stays as it is', () => {
  const input = Float32Array.of(Number.NaN, 2, 3, 4)
  const result = withFactors(input, channelLayout([2, 2], 0), Float32Array.of(0, 2))
  expect([...toFloat32(result)]).toEqual([0, 0, 6, 8])
  expect(input[1]).toBe(2)
})

test('mean squares of rows and of columns', () => {
  const matrix = Float32Array.of(1, 2, 3, 4, 5, 6)
  expect([...meanSquares(matrix, channelLayout([2, 3], 0))]).toEqual([14 / 3, 77 / 3])
  expect([...meanSquares(unaligned(matrix), channelLayout([2, 3], 1))]).toEqual([17 / 2, 29 / 2, 45 / 2])
})
