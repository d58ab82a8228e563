import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { OnnxError } from '../../src/onnx/errors.ts'
import { type NpyArray, parseNpy, parseNpz, readNumpyFile } from '../../src/onnx/npz.ts'
import { temporaryFolder } from '../support/temporary.ts'

/** Written by NumPy 2 with `numpy.savez_compressed`: one array per kind of element and layout. */
const NPZ = [
  'UEsDBC0AAAAIAAAAIQDwDMxS//////////8GABQAZjQubnB5AQAQAJAAAAAAAAAAVQAAAAAAAACb7BfqGxDJyFDGUK2eklqcXKRupaBuk2airqOg',
  'npZfVFKUmBefX5SSChJ3S8wpTgWKF2ckFqQC+RpGOgpGmjoKtQpkAy4GhgP2DECCgcHBgYGhwQEAUEsDBC0AAAAIAAAAIQDOLODT//////////8O',
  'ABQAZjRfZm9ydHJhbi5ucHkBABAAmAAAAAAAAABWAAAAAAAAAJvsF+obEMnIUMZQrZ6SWpxcpG6loG6TZqKuo6Cell9UUpSYF59flJIKEg8pKk0F',
  'ChdnJBakArkaRjoKxpo6CrUK5AMuBjBwcGBgaLAHYgcQh4FhgQMAUEsDBC0AAAAIAAAAIQAHV2qU//////////8RABQAaThfYmlnX2VuZGlhbi5u',
  'cHkBABAAkAAAAAAAAABLAAAAAAAAAJvsF+obEMnIUMZQrZ6SWpxcpG6loG6XaaGuo6Cell9UUpSYF59flJIKEndLzClOBYoXZyQWpAL5GkY6mjoK',
  'tQoUAC4GCGD8DwH/AFBLAwQtAAAACAAAACEAdg4Tif//////////DQAUAHNjYWxhcl91MS5ucHkBABAAgQAAAAAAAABDAAAAAAAAAJvsF+obEMnI',
  'UMZQrZ6SWpxcpG6loF5Taqiuo6Cell9UUpSYF59flJIKEndLzClOBYoXZyQWpAL5Gpo6CrUKFAEudgBQSwMELQAAAAgAAAAhAFUr9tL/////////',
  '/wsAFABib29sXzNkLm5weQEAEACIAAAAAAAAAEoAAAAAAAAAm+wX6hsQychQxlCtnpJanFykbqWgXpNkqK6joJ6WX1RSlJgXn1+UkgoSd0vMKU4F',
  'ihdnJBakAvkaRjoKIKSpo1CrQB7gYmSAQABQSwMELQAAAAgAAAAhAH6ic93//////////wwAFABmMl9lbXB0eS5ucHkBABAAgAAAAAAAAABGAAAA',
  'AAAAAJvsF+obEMnIUMZQrZ6SWpxcpG6loG6TZqSuo6Cell9UUpSYF59flJIKEndLzClOBYoXZyQWpAL5GgY6CsaaOgq1CmQDLgBQSwMELQAAAAgA',
  'AAAhAJGYP1D//////////wsAFAB1bmljb2RlLm5weQEAEACYAAAAAAAAAFMAAAAAAAAAm+wX6hsQychQxlCtnpJanFykbqWgbhNqpK6joJ6WX1RS',
  'lJgXn1+UkgoSd0vMKU4FihdnJBakAvkaxjqaOgq1ChQArkQGBoYkIH4JxAzfGBlgAABQSwMELQAAAAgAAAAhACrIk3H//////////wkAFABieXRl',
  'cy5ucHkBABAAhAAAAAAAAABIAAAAAAAAAJvsF+obEMnIUMZQrZ6SWpxcpG6loF4TbKSuo6Cell9UUpSYF59flJIKEndLzClOBYoXZyQWpAL5GkY6',
  'mjoKtQoUAK6KyioGAFBLAQItAy0AAAAIAAAAIQDwDMxSVQAAAJAAAAAGAAAAAAAAAAAAAACAAQAAAABmNC5ucHlQSwECLQMtAAAACAAAACEAzizg',
  '01YAAACYAAAADgAAAAAAAAAAAAAAgAGNAAAAZjRfZm9ydHJhbi5ucHlQSwECLQMtAAAACAAAACEAB1dqlEsAAACQAAAAEQAAAAAAAAAAAAAAgAEj',
  'AQAAaThfYmlnX2VuZGlhbi5ucHlQSwECLQMtAAAACAAAACEAdg4TiUMAAACBAAAADQAAAAAAAAAAAAAAgAGxAQAAc2NhbGFyX3UxLm5weVBLAQIt',
  'Ay0AAAAIAAAAIQBVK/bSSgAAAIgAAAALAAAAAAAAAAAAAACAATMCAABib29sXzNkLm5weVBLAQItAy0AAAAIAAAAIQB+onPdRgAAAIAAAAAMAAAA',
  'AAAAAAAAAACAAboCAABmMl9lbXB0eS5ucHlQSwECLQMtAAAACAAAACEAkZg/UFMAAACYAAAACwAAAAAAAAAAAAAAgAE+AwAAdW5pY29kZS5ucHlQ',
  'SwECLQMtAAAACAAAACEAKsiTcUgAAACEAAAACQAAAAAAAAAAAAAAgAHOAwAAYnl0ZXMubnB5UEsFBgAAAAAIAAgAzQEAAFEEAAAAAA==',
].join('')

/** Written by NumPy 2 with `numpy.save`: an array of dates. */
const DATES = [
  'k05VTVBZAQB2AHsnZGVzY3InOiAnPE04W0RdJywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDEsKSwgfSAgICAgICAgICAgICAg',
  'ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIApWRwAAAAAAAA==',
].join('')

const decode = (text: string) => Uint8Array.from(Buffer.from(text, 'base64'))
const floats = (array: NpyArray | undefined) =>
  array && 'data' in array ? [...new Float32Array(array.data.buffer)] : undefined

test('every kind of array that NumPy wrote', () => {
  const arrays = parseNpz(decode(NPZ))
  expect(floats(arrays.get('f4'))).toEqual([1.5, -2, 3, 4])
  expect(arrays.get('f4')).toMatchObject({ dtype: 'float32', dims: [2, 2] })
  expect(floats(arrays.get('f4_fortran'))).toEqual([0, 1, 2, 3, 4, 5])
  const big = arrays.get('i8_big_endian') as { data: Uint8Array<ArrayBuffer> }
  expect([...new BigInt64Array(big.data.buffer)]).toEqual([1n, -2n])
  expect(arrays.get('scalar_u1')).toEqual({ dtype: 'uint8', dims: [], data: Uint8Array.of(7) })
  expect(arrays.get('bool_3d')).toEqual({ dtype: 'bool', dims: [2, 2, 2], data: Uint8Array.of(1, 0, 1, 0, 1, 0, 1, 0) })
  expect(arrays.get('f2_empty')).toEqual({ dtype: 'float16', dims: [0, 3], data: new Uint8Array() })
  expect(arrays.get('unicode')).toEqual({ dtype: 'string', dims: [3], strings: ['ab', 'é😀', ''] })
  expect(arrays.get('bytes')).toEqual({ dtype: 'string', dims: [2], strings: ['xy', 'z'] })
  expect(arrays.size).toBe(8)
})

test('a real file', () => {
  const arrays = readNumpyFile(resolve(import.meta.dirname, '../../fixtures/digits-eval.npz'))
  expect([...arrays].map(([name, { dtype }]) => [name, dtype])).toEqual([
    ['images', 'float32'],
    ['labels', 'int64'],
  ])
})

test('what cannot be read is one clear error with the file', () => {
  const folder = temporaryFolder()
  const failure = (name: string, bytes: Uint8Array) => {
    const file = join(folder, name)
    writeFileSync(file, bytes)
    try {
      readNumpyFile(file)
    } catch (error) {
      expect(error).toBeInstanceOf(OnnxError)
      expect((error as OnnxError).place.file).toBe(file)
      return (error as OnnxError).what
    }
    throw new Error('nothing was thrown')
  }
  expect(failure('dates.npy', decode(DATES))).toMatch(/cannot be read/)
  expect(failure('text.npz', new TextEncoder().encode('hello'))).toMatch(/no sound \.npz/)
  const whole = decode(NPZ)
  expect(failure('cut.npz', whole.subarray(0, whole.length - 30))).toMatch(/no sound/)
  expect(failure('empty.npz', new Uint8Array())).toMatch(/no sound/)
  expect(() => readNumpyFile(join(folder, 'none.npz'))).toThrow(OnnxError)
  expect(() => parseNpy(decode(DATES).subarray(0, 4))).toThrow(OnnxError)
})
