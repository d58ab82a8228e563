import { expect, test, vi } from 'vitest'
import { cacheOptions, enabledPasses, resolveRequest } from '../../src/options/index.ts'

vi.mock('../../src/passes/index.ts', () => import('./passes.mock.ts'))

const resolved = (query: string) => resolveRequest({ query, file: '/app/m.onnx', root: '/app' }).targets[0]!
const identity = (query: string) => JSON.stringify(cacheOptions(resolved(query)))

test('holds the passes that run with their parameters and versions, nothing else', () => {
  expect(cacheOptions(resolved('quantize=dynamic&per_channel&verbose'))).toEqual({
    device: 'wasm',
    passes: [
      { name: 'clean', version: 1, params: { optimize: 'clean' } },
      {
        name: 'dynamic',
        version: 3,
        params: { quantize: 'dynamic', perChannel: true, reduceRange: false, weightType: 'auto' },
      },
    ],
  })
  expect(enabledPasses(resolved('optimize=none'))).toEqual([])
})

test.each([
  ['quantize=dynamic&per_channel', 'perChannel=true&quantize=dynamic'],
  ['as=url', 'as=bytes'],
  ['verbose', ''],
  ['per_channel', ''], // nothing reads it: quantize is off
  ['shape=a:1,b:2', 'shape=b:2,a:1'],
  ['dtype=int8', 'quantize=dynamic&weight_type=int8'],
  ['preset=arm64&quantize=dynamic', 'quantize=dynamic&per_channel&reduce_range=false'],
])('%s is %s', (a, b) => {
  expect(identity(a)).toBe(identity(b))
})

test.each([
  ['quantize=dynamic', 'quantize=dynamic&per_channel'],
  ['shape=a:1', 'shape=a:2'],
  ['target=web', 'target=node'],
])('%s is not %s', (a, b) => {
  expect(identity(a)).not.toBe(identity(b))
})
