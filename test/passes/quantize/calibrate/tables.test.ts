import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeTable, encodeTable } from '../../../../src/passes/quantize/calibrate/tables/index.ts'

const RANGES = { image: [0, 1.5], 'a b': [-3, 2.25] } as const

describe('tables for TensorRT', () => {
  test('hold the largest magnitude, also where that is the negative one', () => {
    expect(new TextDecoder().decode(encodeTable('cache', RANGES))).toBe('a b 3\nimage 1.5\n')
  })

  test.each(['cache', 'flatbuffers'] as const)('%s: what is written is read', (format) => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.stringMatching(/^[\w/.:]+$/).filter((name) => name !== '__proto__'),
          fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
        ),
        (magnitudes) => {
          const ranges = Object.fromEntries(
            Object.entries(magnitudes).map(([name, value]) => [name, [-value, value / 2] as [number, number]]),
          )
          const read = decodeTable(format, encodeTable(format, ranges))
          expect(Object.fromEntries(Object.entries(read).map(([name, [, max]]) => [name, max]))).toEqual(magnitudes)
        },
      ),
    )
  })

  test('FlatBuffers of the reference tool', () => {
    // `write_calibration_table` of onnxruntime 1.30 for { image: 0..1.5, "a b": -1..2.25 }.
    const bytes = Buffer.from(
      'DAAAAAAABgAIAAQABgAAAAQAAAACAAAACAAAACwAAADg////CAAAAAwAAAADAAAAMS41AAUAAABpbWFnZQAAAAgADAAIAAQACAAAAAgAAAAQAAAABAAAADIuMjUAAAAAAwAAAGEgYgA=',
      'base64',
    )
    expect(decodeTable('flatbuffers', bytes)).toEqual({ image: [-1.5, 1.5], 'a b': [-2.25, 2.25] })
  })

  test.each([
    ['cache', 'image\n', /line 1 is no name/],
    ['cache', 'image x\n', /no number from 0 up/],
    ['cache', 'image -1\n', /no number from 0 up/],
    ['flatbuffers', '', /cut off/],
    ['flatbuffers', 'abcdefgh', /cut off|damaged/],
  ] as const)('%s of %j is refused', (format, text, message) => {
    expect(() => decodeTable(format, new TextEncoder().encode(text))).toThrow(message)
  })

  test('cut-off FlatBuffers are refused, never misread', () => {
    const bytes = encodeTable('flatbuffers', RANGES)
    for (let length = 0; length < bytes.length; length += 4)
      expect(() => decodeTable('flatbuffers', bytes.slice(0, length))).toThrow()
  })
})
