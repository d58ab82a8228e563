import { expect, test } from 'vitest'
import { addToHistogram, compare, histogram } from '../../src/kernels/index.ts'
import { weights } from './data.ts'

test('comparison agrees with sums taken one by one', () => {
  for (const length of [1, 2, 7, 40_001]) {
    const a = weights(length, 1)
    const b = a.map((v, i) => v + ((i % 7) - 3) * 1e-3)
    let [dot, aa, bb, dd, most] = [0, 0, 0, 0, 0]
    a.forEach((x, i) => {
      const y = b[i]!
      dot += x * y
      aa += x * x
      bb += y * y
      dd += (x - y) ** 2
      most = Math.max(most, Math.abs(x - y))
    })
    const result = compare(a, b)
    expect(result.dot).toBeCloseTo(dot, 9)
    expect(result.squaresA).toBeCloseTo(aa, 9)
    expect(result.squaresB).toBeCloseTo(bb, 9)
    expect(result.squaresDifference).toBeCloseTo(dd, 9)
    expect(result.maxDifference).toBe(most)
    expect(result.cosine).toBeCloseTo(dot / Math.sqrt(aa * bb), 9)
    expect(result.sqnr).toBeCloseTo(10 * Math.log10(aa / dd), 6)
  }
})

test('comparison of special tensors', () => {
  const x = Float32Array.of(1, 2, 3)
  expect(compare(x, x)).toMatchObject({ cosine: 1, sqnr: Infinity, maxDifference: 0 })
  expect(compare(new Float32Array(3), new Float32Array(3)).cosine).toBe(1)
  expect(compare(new Float32Array(3), x).cosine).toBe(0)
  expect(compare(x, Float32Array.of(1, Number.NaN, 3)).maxDifference).toBeNaN()
  expect(compare(new Float32Array(0), new Float32Array(0)).cosine).toBe(1)
  expect(() => compare(x, new Float32Array(2))).toThrow(RangeError)
})

test('histogram: equal intervals, the last closed, what is outside counted apart', () => {
  const h = histogram(-1, 1, 4)
  addToHistogram(h, Float32Array.of(-1, -0.5, -0.50001, 0, 0.49, 0.5, 1, 1.01, -7, Number.NaN, Infinity))
  expect(h).toMatchObject({ counts: Float64Array.of(2, 1, 2, 2), below: 1, above: 2, nan: 1 })
  addToHistogram(h, Float32Array.of(-0.6, 0.6), true)
  expect([...h.counts]).toEqual([2, 1, 2, 4])
})

test('histogram of many chunks loses nothing', () => {
  const values = weights(100_001, 2)
  const h = histogram(-0.1, 0.1, 128)
  addToHistogram(h, values)
  expect(h.counts.reduce((a, b) => a + b, 0) + h.below + h.above).toBe(100_001)
  const third = values.reduce((n, v) => n + (v >= -0.1 + 0.2 * (2 / 128) && v < -0.1 + 0.2 * (3 / 128) ? 1 : 0), 0)
  expect(h.counts[2]).toBe(third)
})

test('a histogram needs a range and bins', () => {
  expect(() => histogram(1, 1, 4)).toThrow(RangeError)
  expect(() => histogram(0, Infinity, 4)).toThrow(RangeError)
  expect(() => histogram(0, 1, 0)).toThrow(RangeError)
})
