import { expect, test } from 'vitest'
import { joinModelId, joinRepeated, splitModelId, withParameter } from '../../src/plugin/id.ts'

test.each([
  ['./a.onnx', { file: './a.onnx', query: '' }],
  ['/x/a.onnx?dtype=q8&as=url', { file: '/x/a.onnx', query: 'dtype=q8&as=url' }],
  ['/x/a.onnx.js?dim=batch:1,sequence:128', { file: '/x/a.onnx', query: 'dim=batch:1,sequence:128' }],
])('%s', (id, parts) => expect(splitModelId(id)).toEqual(parts))

test.each(['./a.onnx.json', './onnx', './a.wasm?x=.onnx#', 'unplugin-onnx-file:/x/a.onnx'])('%s is no model', (id) =>
  expect(splitModelId(id)).toBeUndefined(),
)

test('ids come together again', () => {
  expect(joinModelId({ file: '/a.onnx', query: '' })).toBe('/a.onnx')
  expect(joinModelId({ file: '/a.onnx', query: 'x=1' }, true)).toBe('/a.onnx.js?x=1')
})

test('a parameter replaces what was there', () => {
  expect(withParameter('as=bytes&dtype=q8', 'as', 'url')).toBe('dtype=q8&as=url')
  expect(withParameter('', 'as', 'url')).toBe('as=url')
})

test('keys that come several times, joined', () => {
  expect(joinRepeated('ops=Conv&per_channel&ops=Gemm')).toBe('ops=Conv,Gemm&per_channel')
  expect(joinRepeated('dtype=q8')).toBe('dtype=q8')
  expect(joinRepeated('')).toBe('')
})
