import fc from 'fast-check'
import { expect, test } from 'vitest'
import { OnnxError } from '../../src/onnx/errors.ts'
import { FLAGS, findKey, OPTIONS, QUERY, readParams, type Surface, splitQuery } from '../../src/params/read.ts'
import type { ParamTable } from '../../src/params/spec.ts'

const TABLE = {
  quantize: { type: 'enum', doc: '', values: ['dynamic', 'static'] },
  perChannel: { type: 'boolean', doc: '' },
  bits: { type: 'integer', doc: '', min: 2, max: 8 },
  maxLoss: { type: 'number', doc: '', min: 0, max: 1 },
  calibration: { type: 'string', doc: '' },
  exclude: { type: 'list', doc: '', placeholder: 'glob' },
  shape: { type: 'map', doc: '', placeholder: 'name:1x128' },
} satisfies ParamTable

const read = (query: string) => readParams(TABLE, splitQuery(query), QUERY)
function failure(run: () => unknown): OnnxError {
  try {
    run()
  } catch (error) {
    if (error instanceof OnnxError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

test.each([
  ['quantize=dynamic', { quantize: 'dynamic' }],
  ['?quantize=Dynamic', { quantize: 'dynamic' }],
  ['per_channel', { perChannel: true }],
  ['per_channel&per_channel', { perChannel: true }],
  ['per-channel=true', { perChannel: true }],
  ['perChannel=false', { perChannel: false }],
  ['PER_CHANNEL=0', { perChannel: false }],
  ['bits=4', { bits: 4 }],
  ['max_loss=1%25', { maxLoss: 0.01 }],
  ['max_loss=1e-2', { maxLoss: 0.01 }],
  ['exclude=a,b', { exclude: ['a', 'b'] }],
  ['exclude=a&exclude=b,a', { exclude: ['a', 'b'] }],
  ['exclude=%2Fencoder%2F*,b%2Cc', { exclude: ['/encoder/*', 'b,c'] }],
  ['exclude={a,b}/*,c', { exclude: ['{a,b}/*', 'c'] }],
  ['exclude=a+b', { exclude: ['a+b'] }],
  ['shape=input_ids:1x128,mask:1x1', { shape: { input_ids: '1x128', mask: '1x1' } }],
  ['shape=x:0:1x3', { shape: { 'x:0': '1x3' } }],
  ['calibration=data%20set/a.npz', { calibration: 'data set/a.npz' }],
  ['calibration=100%', { calibration: '100%' }],
  ['', {}],
])('query %s', (query, expected) => {
  expect(read(query)).toEqual(expected)
})

test.each([
  [
    'quantize=dynamc',
    'OPTION_VALUE',
    "'dynamc' is not a value of `quantize`",
    "Did you mean 'dynamic'? Expected dynamic or static.",
  ],
  ['quantize', 'OPTION_VALUE', '`quantize` needs a value', 'Expected dynamic or static.'],
  ['quantize=', 'OPTION_VALUE', '`quantize` needs a value', 'Expected dynamic or static.'],
  [
    'quantize=dynamic&quantize=static',
    'OPTION_VALUE',
    "`quantize` takes one value, not 'dynamic' and 'static'",
    'Expected dynamic or static.',
  ],
  ['qunatize=dynamic', 'OPTION_UNKNOWN', 'unknown query parameter `qunatize`', 'Did you mean `quantize`?'],
  ['perchanel', 'OPTION_UNKNOWN', 'unknown query parameter `perchanel`', 'Did you mean `per_channel`?'],
  ['per_channel=maybe', 'OPTION_VALUE', "'maybe' is not a value of `per_channel`", 'Expected true or false.'],
  ['bits=9', 'OPTION_VALUE', "'9' is not a value of `bits`", 'Expected a whole number from 2 to 8.'],
  ['bits=2.5', 'OPTION_VALUE', "'2.5' is not a value of `bits`", 'Expected a whole number from 2 to 8.'],
  ['bits=0x4', 'OPTION_VALUE', "'0x4' is not a value of `bits`", 'Expected a whole number from 2 to 8.'],
  ['max_loss=nan', 'OPTION_VALUE', "'nan' is not a value of `max_loss`", 'Expected a number from 0 to 1.'],
  ['exclude=', 'OPTION_VALUE', '`exclude` needs a value', 'Expected a comma-separated list (glob,...).'],
  [
    'shape=input_ids',
    'OPTION_VALUE',
    "'input_ids' is not a value of `shape`",
    'Expected comma-separated pairs (name:1x128,...).',
  ],
  ['shape=a:1,a:2', 'OPTION_VALUE', "`shape` gives 'a' twice: '1' and '2'", undefined],
  [
    'per_channel&perChannel=false',
    'OPTION_VALUE',
    '`per_channel` and `perChannel` are the same query parameter',
    undefined,
  ],
])('query %s fails', (query, code, what, hint) => {
  const error = failure(() => read(query))
  expect({ code: error.code, what: error.what, hint: error.hint }).toEqual({ code, what, hint })
})

test('an unknown key far from all others lists what is known', () => {
  expect(failure(() => read('zzz=1')).hint).toBe(
    'Known here: quantize, per_channel, bits, max_loss, calibration, exclude, shape.',
  )
})

test('JS values', () => {
  const input = {
    quantize: 'static',
    perChannel: undefined,
    bits: 8,
    exclude: ['a', 'b,c'],
    shape: { ids: [1, 128], mask: '1x1', batch: 2 },
  }
  expect(readParams(TABLE, Object.entries(input), OPTIONS)).toEqual({
    quantize: 'static',
    bits: 8,
    exclude: ['a', 'b,c'],
    shape: { ids: '1x128', mask: '1x1', batch: '2' },
  })
})

test.each([
  [{ bits: Number.NaN }],
  [{ bits: null }],
  [{ perChannel: 2 }],
  [{ quantize: { a: 1 } }],
  [{ exclude: [1n] }],
  [{ shape: { a: {} } }],
  [{ calibration: () => 1 }],
])('wrong JS value %o is one clear error', (input) => {
  const error = failure(() => readParams(TABLE, Object.entries(input), OPTIONS, { where: "targets['web']" }))
  expect(error.code).toBe('OPTION_VALUE')
  expect(error.what).toContain(Object.keys(input)[0])
  expect(error.what).toContain("(in targets['web'])")
})

test('flags spell keys in kebab case', () => {
  expect(failure(() => readParams(TABLE, [['per-chanel', true]], FLAGS))).toMatchObject({
    what: 'unknown flag `per-chanel`',
    hint: 'Did you mean `--per-channel`?',
  })
})

test('every key is found in every style, and no other', () => {
  for (const [camel, other] of [
    ['perChannel', 'Per-Channel'],
    ['bits', 'BITS'],
  ])
    expect(findKey(TABLE, other!)).toBe(camel)
  expect(findKey(TABLE, 'toString')).toBeUndefined()
})

test('any text is read or refused with an OnnxError, on every surface', () => {
  const key = fc.oneof(fc.constantFrom(...Object.keys(TABLE)), fc.string())
  fc.assert(
    fc.property(fc.string(), key, fc.constantFrom<Surface>(QUERY, FLAGS, OPTIONS), (text, name, surface) => {
      for (const run of [
        () => read(text),
        () => read(`${name}=${text}`),
        () => readParams(TABLE, [[name, text]], surface),
      ])
        try {
          run()
        } catch (error) {
          expect(error).toBeInstanceOf(OnnxError)
        }
    }),
  )
})
