import { describe, expect, test } from 'vitest'
import { latencyOf, meanMargin, quantile, student95 } from '../../../src/measure/bench/statistics.ts'

describe('student95', () => {
  // From the printed table of the distribution (two-sided 95 %).
  test.each([
    [1, 12.706],
    [2, 4.303],
    [3, 3.182],
    [5, 2.571],
    [10, 2.228],
    [30, 2.042],
    [1000, 1.962],
  ])('%i degrees of freedom', (freedom, expected) => {
    expect(Math.abs(student95(freedom) / expected - 1)).toBeLessThan(0.01)
  })
})

test('the margin of a mean, by hand', () => {
  // Mean 2, standard deviation 1, three numbers.
  expect(meanMargin([1, 2, 3])).toBeCloseTo(4.303 / Math.sqrt(3), 3)
  expect(meanMargin([1])).toBe(Number.POSITIVE_INFINITY)
})

test('quantiles lie between neighbours', () => {
  expect([quantile([1, 2, 3, 4], 0.5), quantile([1, 2, 3, 4], 0), quantile([1, 2, 3, 4], 1)]).toEqual([2.5, 1, 4])
})

test('one slow round widens the mean; a slow run of every round does not', () => {
  const spread = (rounds: number[][]) => {
    const { meanLow, meanHigh } = latencyOf(rounds)
    return meanHigh - meanLow
  }
  const row = (ms: number) => [ms, ms, ms]
  expect(
    spread([
      [1, 1, 9],
      [1, 1, 9],
      [1, 1, 9],
    ]),
  ).toBe(0)
  expect(spread([row(1), row(2), row(1)])).toBeGreaterThan(2)
  expect(
    latencyOf([
      [1, 1, 9],
      [1, 1, 9],
    ]),
  ).toMatchObject({ count: 6, p50: 1, p99: 9, min: 1, max: 9 })
})
