import { describe, expect, test } from 'vitest'
import { FLAGS, OPTIONS, QUERY, readParams, splitQuery } from '../../src/params/read.ts'
import type { ParamTable } from '../../src/params/spec.ts'

const table = {
  steps: {
    type: 'steps',
    doc: '',
    elsewhere: { UnRoll: 'Unrolling is done by flip.' },
    steps: {
      resizeTo: {
        doc: '',
        params: {
          size: { type: 'numbers', doc: '' },
          policy: { type: 'enum', values: ['fit', 'fill'], doc: '' },
          file: { type: 'string', doc: '' },
        },
      },
      flip: { doc: '', params: {} },
    },
  },
  mean: { type: 'numbers', doc: '' },
} as const satisfies ParamTable

const fromQuery = (text: string) => readParams(table, splitQuery(text), QUERY)
const fromOptions = (value: unknown) => readParams(table, [['steps', value]], OPTIONS)
const expected = { steps: [{ step: 'resizeTo', size: [2, 3], policy: 'fill' }, { step: 'flip' }] }

describe('steps', () => {
  test.each([
    'steps=resizeTo(size:[2,3],policy:fill),flip',
    'steps=resize_to(policy:fill,size:[2,3]),flip()',
    'steps=resize-to([2,3],policy=FILL)&steps=flip',
    'steps=resizeTo(2,3,policy:fill),%20flip',
  ])('%s', (query) => {
    expect(fromQuery(query)).toEqual(expected)
    // Equal steps have equal JSON: it becomes part of the cache key.
    expect(JSON.stringify(fromQuery(query))).toBe(JSON.stringify(expected))
  })

  test('objects, also as other tools write them; read again they stay', () => {
    const forms = [
      [{ step: 'resizeTo', size: [2, 3], policy: 'fill' }, 'flip'],
      [{ ResizeTo: { policy: 'fill', size: [2, 3] } }, { Flip: {} }],
      [{ resize_to: { params: { size: [2, 3], policy: 'fill' } } }, [{ step: 'flip' }]],
    ]
    for (const form of forms) expect(fromOptions(form)).toEqual(expected)
    expect(fromOptions(fromOptions(forms[0])['steps'])).toEqual(expected)
  })

  test('names, connections, and values as other tools write them', () => {
    const wanted = {
      steps: [
        { step: 'flip', name: 'a' },
        { step: 'resizeTo', ioMap: [['a', 1, 0]], size: [{ of: 'output', index: -1, dim: -2 }, 3] },
      ],
    }
    const dim = { type: '__model_output__', output_index: -1, dim_index: -2 }
    const written = [
      { Flip: { params: { name: 'a' } } },
      { ResizeTo: { params: { size: { type: 'tuple', value: [dim, 3] } }, io_map: [['a', 1, 0]] } },
    ]
    expect(fromOptions(written)).toEqual(wanted)
    expect(fromOptions(fromOptions(written)['steps'])).toEqual(wanted)
    expect(fromQuery('steps=flip(name:a),resizeTo(3,ioMap:[a:1:0,a:0:2])')).toEqual({
      steps: [
        { step: 'flip', name: 'a' },
        {
          step: 'resizeTo',
          ioMap: [
            ['a', 1, 0],
            ['a', 0, 2],
          ],
          size: [3],
        },
      ],
    })
  })

  test('paths and flags', () => {
    expect(readParams(table, [['--steps', 'resizeTo(file:../a/b.txt)']], FLAGS)).toEqual({
      steps: [{ step: 'resizeTo', file: '../a/b.txt' }],
    })
  })

  test.each([
    ['flop', 'OPTION_VALUE', "Did you mean 'flip'"],
    ['flip(1)', 'OPTION_VALUE', 'takes no argument'],
    ['resizeTo(sise:2)', 'OPTION_UNKNOWN', 'size'],
    ['resizeTo(policy:fil)', 'OPTION_VALUE', 'fill'],
    ['resizeTo(size:two)', 'OPTION_VALUE', 'two'],
    [[], 'OPTION_VALUE', 'needs a value'],
    [7, 'OPTION_VALUE', 'takes steps'],
    [{ resizeTo: { io_map: [[0, 0, 0]] } }, 'OPTION_VALUE', 'ioMap'],
    [{ resizeTo: { io_map: [['flip', -1, 0]] } }, 'OPTION_VALUE', 'ioMap'],
    ['flip(ioMap:a:b:0)', 'OPTION_VALUE', 'ioMap'],
    ['unroll', 'OPTION_VALUE', 'Unrolling is done by flip'],
  ])('%j is an error', (value, code, text) => {
    let failure: unknown
    try {
      fromOptions(value)
    } catch (error) {
      failure = error
    }
    expect(failure).toMatchObject({ code, message: expect.stringContaining(text) })
  })
})

test('numbers: one or several, equal ones too', () => {
  expect(fromQuery('mean=0.5,0.5,50%')).toEqual({ mean: [0.5, 0.5, 0.5] })
  expect(readParams(table, [['mean', 0.5]], OPTIONS)).toEqual({ mean: [0.5] })
  expect(readParams(table, [['mean', [1, 2]]], OPTIONS)).toEqual({ mean: [1, 2] })
  expect(() => fromQuery('mean=a')).toThrow('OPTION_VALUE')
})
