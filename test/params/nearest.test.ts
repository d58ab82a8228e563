import { expect, test } from 'vitest'
import { editDistance, nearest } from '../../src/params/nearest.ts'

test.each([
  ['', '', 0],
  ['abc', 'abc', 0],
  ['abc', '', 3],
  ['quantize', 'qunatize', 1],
  ['kitten', 'sitting', 3],
  ['ca', 'abc', 3],
])('distance of %j and %j is %i', (a, b, distance) => {
  expect(editDistance(a, b)).toBe(distance)
  expect(editDistance(b, a)).toBe(distance)
})

const KEYS = ['quantize', 'perChannel', 'reduceRange', 'dtype', 'device', 'as', 'verify', 'verifyCosine']
test.each([
  ['qunatize', 'quantize'],
  ['PER_CHANEL', 'perChannel'],
  ['quant', 'quantize'],
  ['dtypes', 'dtype'],
  ['devise', 'device'],
  ['verifyCosin', 'verifyCosine'],
  ['x', undefined],
  ['fusion', undefined],
])('nearest to %s is %s', (word, key) => {
  expect(nearest(word, KEYS)).toBe(key)
})
