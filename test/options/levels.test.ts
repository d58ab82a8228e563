import { expect, test } from 'vitest'
import { resolveRequest } from '../../src/options/index.ts'

const params = (query: string, plugin = {}): Readonly<Record<string, unknown>> =>
  resolveRequest({ plugin, query, file: '/app/bert.onnx', root: '/app', environment: { kind: 'server' } }).targets[0]!
    .params

test.each([
  [0, 'clean'],
  [1, 'basic'],
  [2, 'extended'],
  [99, 'all'],
])('opt_level=%i is optimize=%s', (number, name) => {
  expect(params(`fuse=bert&opt_level=${number}`)).toMatchObject({ fuse: 'bert', optimize: name })
  expect(params('', { optLevel: number })).toMatchObject({ optimize: name })
  expect(params(`optimize=${name}&opt_level=${number}`)).toMatchObject({ optimize: name })
})

test('a level above gives way to one nearer the import', () => {
  expect(params('opt_level=0', { optimize: 'extended' })).toMatchObject({ optimize: 'clean' })
  expect(params('optimize=basic', { optLevel: 99 })).toMatchObject({ optimize: 'basic' })
})

test('only_onnxruntime leaves fusing out', () => {
  expect(params('only_onnxruntime')).toMatchObject({ fuse: 'none', optimize: 'extended' })
  expect(params('only_onnxruntime&opt_level=1', { fuse: 'auto' })).toMatchObject({ fuse: 'none', optimize: 'basic' })
})

test.each([
  ['opt_level=3', 'there is no optimization level 3'],
  ['opt_level=1&optimize=extended', 'opt_level=1 is optimize=basic, not optimize=extended'],
  ['only_onnxruntime&fuse=bert', 'only_onnxruntime leaves out what fuse=bert asks for'],
  ['only_onnxruntime&opt_level=0', 'only_onnxruntime has nothing to run with optimize=clean'],
])('%s contradicts itself', (query, message) => {
  expect(() => params(query)).toThrow(message)
})
