import fc from 'fast-check'
import { expect, test } from 'vitest'
import { permute, transpose } from '../../src/kernels/index.ts'
import { random } from './data.ts'

/** Permutes by computing every index, as the definition of ONNX Transpose says. */
function reference(
  bytes: Uint8Array,
  shape: readonly number[],
  permutation: readonly number[],
  size: number,
): Uint8Array {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1))
  const dims = permutation.map((axis) => shape[axis]!)
  const out = new Uint8Array(bytes.length)
  for (let to = 0; to < bytes.length / size; to++) {
    let rest = to
    let from = 0
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      from += (rest % dims[axis]!) * strides[permutation[axis]!]!
      rest = Math.floor(rest / dims[axis]!)
    }
    out.set(bytes.subarray(from * size, from * size + size), to * size)
  }
  return out
}

function randomBytes(length: number): Uint8Array {
  const next = random(length)
  return Uint8Array.from({ length }, next)
}

test.each([1, 2, 4] as const)(
  'matrices of %d-byte elements, smaller and larger than a square, from bytes and readers',
  (size) => {
    for (const [rows, columns] of [
      [0, 3],
      [1, 1],
      [3, 5],
      [7, 300],
      [257, 259],
      [600, 64],
    ] as const) {
      const bytes = randomBytes(rows * columns * size)
      const expected = reference(bytes, [rows, columns], [1, 0], size)
      expect(Buffer.from(transpose(bytes, rows, columns, size)).equals(expected)).toBe(true)
      const reader = {
        byteLength: bytes.length,
        read: (target: Uint8Array, offset: number) => target.set(bytes.subarray(offset, offset + target.length)),
      }
      expect(Buffer.from(transpose(reader, rows, columns, size)).equals(expected)).toBe(true)
    }
  },
)

test('any permutation of up to six axes', () => {
  const cases = fc
    .array(fc.integer({ min: 1, max: 5 }), { minLength: 0, maxLength: 6 })
    .chain((shape) => fc.tuple(fc.constant(shape), fc.shuffledSubarray([...shape.keys()], { minLength: shape.length })))
  fc.assert(
    fc.property(
      cases,
      fc.constantFrom(1 as const, 2 as const, 4 as const, 8 as const, 16 as const),
      ([shape, permutation], size) => {
        const padded = randomBytes(shape.reduce((a, b) => a * b, size) + 1)
        const bytes = padded.subarray(1) // at an odd address
        expect(permute(bytes, shape, permutation, size)).toEqual(reference(bytes, shape, permutation, size))
      },
    ),
  )
})

test('long innermost axes that stay, and batches of matrices', () => {
  for (const [shape, permutation] of [
    [
      [3, 4, 50],
      [1, 0, 2],
    ],
    [
      [2, 70, 300],
      [0, 2, 1],
    ],
    [
      [2, 3, 4, 40],
      [0, 2, 1, 3],
    ],
    [
      [40, 3, 50],
      [2, 1, 0],
    ],
  ] as const) {
    const bytes = randomBytes(shape.reduce<number>((a, b) => a * b, 4))
    expect(Buffer.from(permute(bytes, shape, permutation, 4)).equals(reference(bytes, shape, permutation, 4))).toBe(
      true,
    )
  }
})

test('what does not fit is refused', () => {
  expect(() => transpose(new Uint8Array(5), 2, 3, 1)).toThrow(RangeError)
  expect(() => permute(new Uint8Array(6), [2, 3], [0, 0], 1)).toThrow(RangeError)
  expect(() => permute(new Uint8Array(5), [2, 3], [1, 0], 1)).toThrow(RangeError)
})
