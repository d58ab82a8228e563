import { expect, test } from 'vitest'
import { OnnxError } from '../../../../src/onnx/errors.ts'
import { resolveRequest } from '../../../../src/options/index.ts'
import { weightQuantization } from '../../../../src/passes/quantize/weights/index.ts'

const resolve = (query: string) =>
  resolveRequest({ query, file: '/m.onnx', root: '/', environment: { kind: 'server' } }).targets[0]!

test.each([
  ['bits=3', 'OPTION_VALUE', /bits=3: weights have 2, 4 or 8 bits/],
  ['block_size=48', 'OPTION_VALUE', /block_size=48 is no power of two/],
  ['block_size=512', 'OPTION_VALUE', /from 16 to 256/],
  ['algorithm=hqq&symmetric', 'OPTION_CONFLICT', /cannot be symmetric/],
  ['algorithm=hqq&bits=8', 'OPTION_CONFLICT', /4 bits alone/],
  ['algorithm=hqq&weight_format=qdq', 'OPTION_CONFLICT', /DequantizeLinear does not take/],
  ['eight_bit_nodes=a&bits=8', 'OPTION_CONFLICT', /for MatMulNBits of 4 bits/],
  ['eight_bit_nodes=a&weight_format=qdq', 'OPTION_CONFLICT', /for MatMulNBits of 4 bits/],
  ['bits=2&weight_format=qdq', 'OPTION_CONFLICT', /no weights of 2 bits/],
])('quantize=weights&%s is an error', (query, code, text) => {
  let error: unknown
  try {
    resolve(`quantize=weights&${query}`)
  } catch (caught) {
    error = caught
  }
  expect(error).toBeInstanceOf(OnnxError)
  expect((error as OnnxError).code).toBe(code)
  expect((error as OnnxError).message).toMatch(text)
})

test.each(['quantize=weights', 'quantize=bnb4&block_size=4096', 'dtype=q4', 'dtype=q4f16', 'dtype=bnb4'])(
  '%s runs',
  (query) => {
    const { params } = resolve(query)
    expect(weightQuantization.enabled(params as never)).toBe(true)
  },
)

test('dtypes are the published recipes', () => {
  const block32 = { bits: 4, blockSize: 32, symmetric: true, embeddings: false, scaleType: 'float32', mixedBits: false }
  expect(resolve('dtype=q4').params).toMatchObject(block32)
  expect(resolve('dtype=q4f16').params).toMatchObject({ ...block32, precision: 'float16' })
  expect(resolve('dtype=bnb4').params).toMatchObject({ quantize: 'bnb4', bnbType: 'nf4', blockSize: 64 })
})
