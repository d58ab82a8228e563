import fc from 'fast-check'
import { expect, test } from 'vitest'
import { channelLayout, pairAbsMax } from '../../src/kernels/index.ts'
import { unaligned, weights } from './data.ts'

test('stacked [K, N]: pairs of rows that never reach into the next matrix', () => {
  const dims = fc.tuple(
    fc.integer({ min: 1, max: 3 }),
    fc.integer({ min: 2, max: 300 }),
    fc.integer({ min: 1, max: 70 }),
  )
  fc.assert(
    fc.property(dims, ([batch, k, n]) => {
      const values = weights(batch * k * n, k)
      const expected = new Float32Array(n)
      for (let b = 0; b < batch; b++)
        for (let row = 0; row + 1 < k; row += 2)
          for (let c = 0; c < n; c++) {
            const at = (b * k + row) * n + c
            expected[c] = Math.max(expected[c]!, Math.abs(Math.fround(values[at]! + values[at + n]!)))
          }
      expect(pairAbsMax(unaligned(values), channelLayout([batch, k, n], -1), k)).toEqual(expected)
    }),
  )
})

test('[N, K]: neighbours within a run', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 5000 }), (n, k) => {
      const values = weights(n * k, k)
      const expected = new Float32Array(n)
      for (let c = 0; c < n; c++)
        for (let i = 0; i + 1 < k; i += 2)
          expected[c] = Math.max(expected[c]!, Math.abs(Math.fround(values[c * k + i]! + values[c * k + i + 1]!)))
      expect(pairAbsMax(values, { outer: 1, channels: n, inner: k }, k)).toEqual(expected)
    }),
    { numRuns: 40 },
  )
})

test('NaN is passed over', () => {
  const values = Float32Array.of(1, Number.NaN, 2, 3)
  expect([...pairAbsMax(values, { outer: 1, channels: 1, inner: 4 }, 4)]).toEqual([5])
})
