import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Environment, resolveRequest, validatePluginOptions } from '../../src/options/index.ts'
import { PROVIDER_OPTIONS } from '../../src/options/providers.ts'
import type { PluginOptions } from '../../src/options/types.ts'

const sessions = (plugin: PluginOptions, query = '', environment?: Environment) =>
  resolveRequest({ plugin, query, file: '/app/a.onnx', root: '/app', environment }).targets.map(
    ({ session }) => session,
  )

beforeEach(() => vi.stubEnv('ONNX_TARGET', undefined))
afterEach(() => vi.unstubAllEnvs())

const plugin: PluginOptions = {
  targets: {
    server: { device: 'cuda', providerOptions: { deviceId: 1 }, memoryArena: false, graphLevel: 'extended' },
    page: { device: 'wasm', threads: 4, freeDims: { batch: 1 } },
    gpu: { device: 'webgpu', providerOptions: { preferredLayout: 'NHWC', forceCpuNodeNames: 'a;b' } },
  },
  target: { client: 'page', server: 'server', fast: 'gpu' },
}
const server = {
  executionProviders: [{ name: 'cuda', deviceId: 1 }],
  enableCpuMemArena: false,
  graphOptimizationLevel: 'extended',
}
const page = { intraOpNumThreads: 4, freeDimensionOverrides: { batch: 1 } }
const gpu = { executionProviders: [{ name: 'webgpu', preferredLayout: 'NHWC', forceCpuNodeNames: ['a', 'b'] }] }

describe('session options of a target, chosen', () => {
  test('by config', () => expect(sessions({ ...plugin, target: 'gpu' })).toEqual([gpu]))
  test('by environment variable', () => {
    vi.stubEnv('ONNX_TARGET', 'gpu,page')
    const { target: _, ...open } = plugin
    expect(sessions(open)).toEqual([gpu, page])
  })
  test('by the environment of Vite', () => {
    expect(sessions(plugin, '', { kind: 'server' })).toEqual([server])
    expect(sessions(plugin, '', { kind: 'client' })).toEqual([page])
  })
  test('by mode', () => expect(sessions(plugin, '', { kind: 'client', mode: 'fast' })).toEqual([gpu]))
  test('by query, which may also set options', () => {
    expect(sessions(plugin, '?target=gpu')).toEqual([gpu])
    expect(sessions(plugin, '?targets=gpu,page')).toEqual([gpu, page])
    expect(sessions(plugin, '?target=page&threads=2&graph_level=basic')).toEqual([
      { ...page, intraOpNumThreads: 2, graphOptimizationLevel: 'basic' },
    ])
    expect(sessions({}, '?device=webnn&provider_options=deviceType:npu,numThreads:2')).toEqual([
      { executionProviders: [{ name: 'webnn', deviceType: 'npu', numThreads: 2 }] },
    ])
  })
})

test('they are no part of what is built', () => {
  const [plain, set] = ['?target=cpu', '?target=cpu&threads=3&provider_options=useArena:false'].map(
    (query) => resolveRequest({ query, plugin: {}, file: '/a.onnx', root: '/' }).targets[0]!.params,
  )
  expect(set).toEqual(plain)
})

describe('what does not fit', () => {
  test.each<[PluginOptions['targets'], RegExp]>([
    [{ a: { device: 'cuda', providerOptions: { deviceID2: 1 } } }, /deviceID2[\s\S]*deviceId/],
    [{ a: { device: 'cuda', providerOptions: { deviceId: -1 } } }, /deviceId[\s\S]*at least 0/],
    [{ a: { device: 'cpu', providerOptions: { useArena: 3 } } }, /useArena[\s\S]*true or false/],
    [{ a: { device: 'webgpu', providerOptions: { preferredLayout: 'HWC' } } }, /NCHW or NHWC/],
    [{ a: { device: 'coreml', providerOptions: { coreMlFlags: 64 } } }, /from 0 to 63/],
    [{ a: { device: 'qnn', providerOptions: { backendType: 'htp', backendPath: 'a.so' } } }, /exclude each other/],
    [{ a: { device: 'wasm', providerOptions: { deviceId: 1 } } }, /wasm takes no provider options/],
    [{ a: { device: 'cpu', freeDims: { batch: 1 } } }, /no effect on cpu[\s\S]*dim=batch:1/],
    [{ a: { device: 'wasm', freeDims: { batch: 0 } } }, /no size/],
    [{ a: { device: 'wasm', threads: 0 } }, /at least 1/],
  ])('%j', (targets, message) => {
    expect(() => validatePluginOptions({ targets })).toThrow(message)
    expect(() => sessions({ targets }, '?target=a')).toThrow(message)
  })
})

test('every device has a table', () => {
  expect(Object.keys(PROVIDER_OPTIONS).sort()).toEqual(
    ['cpu', 'cuda', 'tensorrt', 'dml', 'coreml', 'qnn', 'webnn', 'webgpu', 'wasm'].sort(),
  )
})
