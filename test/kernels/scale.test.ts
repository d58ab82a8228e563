import { expect, test } from 'vitest'
import { roundHalfEven, roundToFloat16, scaleZeroPoint, scaleZeroPoints } from '../../src/kernels/index.ts'

test.each([
  // range, options, expected: worked out by hand from (max - min) / (last - first)
  [-1, 3, { type: 'uint8' }, { scale: Math.fround(4 / 255), zeroPoint: 64 }],
  [-1, 3, { type: 'uint8', symmetric: true }, { scale: Math.fround(6 / 255), zeroPoint: 128 }],
  [-1, 3, { type: 'int8' }, { scale: Math.fround(6 / 254), zeroPoint: 0 }],
  [-1, 3, { type: 'int8', symmetric: false }, { scale: Math.fround(4 / 255), zeroPoint: -64 }],
  [-1, 3, { type: 'int8', reduceRange: true }, { scale: Math.fround(6 / 128), zeroPoint: 0 }],
  [-1, 3, { type: 'uint8', reduceRange: true }, { scale: Math.fround(4 / 127), zeroPoint: 32 }],
  [1, 3, { type: 'uint8' }, { scale: Math.fround(3 / 255), zeroPoint: 0 }], // zero is in every range
  [-3, -1, { type: 'uint8' }, { scale: Math.fround(3 / 255), zeroPoint: 255 }],
  [-1, 3, { type: 'int4' }, { scale: Math.fround(6 / 15), zeroPoint: 0 }],
  [-1, 3, { type: 'uint4' }, { scale: Math.fround(4 / 15), zeroPoint: 4 }],
  [-1, 3, { type: 'uint16', symmetric: true }, { scale: Math.fround(6 / 65535), zeroPoint: 32768 }],
  [0, 0, { type: 'int8' }, { scale: 1, zeroPoint: 0 }],
  [0, 0, { type: 'uint8', symmetric: true }, { scale: 1, zeroPoint: 128 }],
  [0, 0, { type: 'uint8', minimumRealRange: 0.01 }, { scale: Math.fround(0.01 / 255), zeroPoint: 0 }],
  [-1e-5, 1e-5, { type: 'int8', scaleType: 'float16' }, { scale: 1, zeroPoint: 0 }], // below the smallest normal half
  [-1, 3, { type: 'int8', scaleType: 'float16' }, { scale: roundToFloat16(6 / 254), zeroPoint: 0 }],
] as const)('%d..%d %j', (min, max, options, expected) => {
  expect(scaleZeroPoint(min, max, options)).toEqual(expected)
})

test('channels without values count as zero; a bad range is refused', () => {
  const { scales, zeroPoints } = scaleZeroPoints(Float32Array.of(-1, Infinity), Float32Array.of(1, -Infinity), {
    type: 'int8',
  })
  expect([...scales]).toEqual([Math.fround(2 / 254), 1])
  expect([...zeroPoints]).toEqual([0, 0])
  expect(() => scaleZeroPoint(0, Infinity, { type: 'int8' })).toThrow(RangeError)
  expect(() => scaleZeroPoint(1, 0, { type: 'int8' })).toThrow(RangeError)
})

test('halves round to even', () => {
  expect([0.5, 1.5, 2.5, -0.5, -1.5, 2.4, 2.6, -2.6].map(roundHalfEven)).toEqual([0, 2, 2, 0, -2, 2, 3, -3])
})
