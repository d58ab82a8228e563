import { expect, test } from 'vitest'
import { fromHalf, toHalf } from '../../src/runtime/float16.ts'

/** Value of the bits of a finite float16, from the definition of the format. */
function exact(half: number): number {
  const exponent = (half >> 10) & 31
  const fraction = half & 0x3ff
  const magnitude = exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : (fraction / 1024) * 2 ** -14
  return half & 0x8000 ? -magnitude : magnitude
}

test('every float16 is read as its value and written back as itself', () => {
  for (let half = 0; half < 0x10000; half++) {
    if ((half & 0x7c00) === 0x7c00) continue
    expect(fromHalf(half)).toBe(exact(half))
    expect(toHalf(exact(half))).toBe(half)
  }
})

test('infinities and NaN', () => {
  expect(fromHalf(0x7c00)).toBe(Number.POSITIVE_INFINITY)
  expect(fromHalf(0xfc00)).toBe(Number.NEGATIVE_INFINITY)
  expect(fromHalf(0x7e00)).toBeNaN()
  expect(toHalf(Number.POSITIVE_INFINITY)).toBe(0x7c00)
  expect(toHalf(Number.NEGATIVE_INFINITY)).toBe(0xfc00)
  expect(fromHalf(toHalf(Number.NaN))).toBeNaN()
})

test('between two neighbours the nearer one is taken, in the middle the even one', () => {
  for (let half = 0; half < 0x7bff; half++) {
    const [low, high] = [exact(half), exact(half + 1)]
    const middle = (low + high) / 2
    expect(toHalf(middle)).toBe(half % 2 ? half + 1 : half)
    expect(toHalf(middle - (high - low) / 64)).toBe(half)
    expect(toHalf(middle + (high - low) / 64)).toBe(half + 1)
    expect(toHalf(-middle)).toBe(0x8000 | (half % 2 ? half + 1 : half))
  }
})

test('beyond the largest value: nearest up to the middle, infinity from there', () => {
  expect(toHalf(65519)).toBe(0x7bff)
  expect(toHalf(65520)).toBe(0x7c00)
  expect(toHalf(-1e30)).toBe(0xfc00)
  expect(toHalf(2 ** -25)).toBe(0)
  expect(toHalf(2 ** -25 * 1.01)).toBe(1)
  expect(toHalf(-(2 ** -30))).toBe(0x8000)
})
