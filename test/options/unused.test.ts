import { expect, test } from 'vitest'
import { type PluginOptions, resolveRequest } from '../../src/options/index.ts'
import { ownersOf } from '../../src/options/unused.ts'

const unused = (query: string | object, plugin: PluginOptions = {}): (readonly string[] | undefined)[] =>
  resolveRequest({ query: query as string, plugin, file: '/app/m.onnx', root: '/app' }).targets.map(
    (target) => target.unused,
  )

test.each([
  ['max_loss=1%', ['maxLoss']],
  ['calibration=data.npz', ['calibration']],
  ['quantize=dynamic&bits=8&activation_type=int8', ['bits', 'activationType']],
  ['quantize=weights&bits=8&calibration-method=mse', ['calibrationMethod']],
  ['keep_io_types=false', ['keepIoTypes']],
  ['with=qnn&num_heads=4', ['with', 'numHeads']],
  ['disable_optimizers=MatMulAddFusion', ['disableOptimizers']],
  ['adapter_format=npz', ['adapterFormat']],
])('%s: nothing reads it', (query, keys) => {
  expect(unused(query)).toEqual([keys])
})

test.each([
  '',
  'quantize=none&precision=float32&optimize=none&fuse=none',
  'quantize=dynamic&exclude_nodes=a&legality=off',
  'verify=false&input_int32=false',
  'verify_cosine=0.9',
  'quantize=static&calibration=data.npz&calibration_method=mse',
  'quantize=auto&max_loss=1%&calibration=data.npz',
  'dtype=q4&algorithm=mse',
  'dtype=fp16&keep_io_types=false',
  'fuse=auto&with=qnn',
  'dim=batch:1&preprocess=audio&threads=2',
])('%s: all of it counts', (query) => {
  expect(unused(query)).toEqual([undefined])
})

test('a parameter that one of several targets reads is used', () => {
  const plugin: PluginOptions = { targets: { a: { device: 'cpu', dtype: 'q8' }, b: { device: 'cpu' } } }
  expect(unused('targets=a,b&exclude_nodes=x', plugin)).toEqual([undefined, undefined])
  expect(unused('targets=a,b&bits=8', plugin)).toEqual([['bits'], ['bits']])
})

test('defaults for many models need not fit all of them', () => {
  expect(unused('', { calibration: 'data.npz', models: { '*.onnx': { bits: 8 } } })).toEqual([undefined])
  expect(unused({ bits: 8, perChannel: undefined })).toEqual([['bits']])
})

test('passes by parameter', () => {
  expect(ownersOf('keepIoTypes')).toBe('float16')
  expect(ownersOf('maxLoss')).toBe('quantize-auto')
})
