import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { VariantDefinition } from '../../src/runtime/model.ts'
import { defineModel as defineNodeModel } from '../../src/runtime/node.ts'
import { defineModel } from '../../src/runtime/web.ts'
import { type FakeOrt, fakeOrt, infoOf, io } from './support/fake-ort.ts'

const MODEL = Uint8Array.of(1, 2, 3, 4)
const DATA = Uint8Array.of(5, 6)
let server: Server
let base: string
const requests: string[] = []

beforeAll(async () => {
  server = createServer((request, response) => {
    requests.push(request.url!)
    if (request.url!.startsWith('/missing')) response.writeHead(404).end()
    else if (request.url!.startsWith('/page')) response.setHeader('content-type', 'text/html').end('<!doctype html>')
    else response.end(request.url!.endsWith('_data') ? DATA : MODEL)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  vi.stubGlobal('location', { href: `${base}/app/` })
})
afterAll(() => {
  vi.unstubAllGlobals()
  server.close()
})

function variant(
  ort: FakeOrt,
  target: string,
  device: string,
  more: Partial<VariantDefinition> = {},
): VariantDefinition {
  const url = `/${target}.onnx`
  return { target, device, info: infoOf([io('x', 'float32', [1])]), bytes: 4, url, ort: async () => ort, ...more }
}

/** A navigator whose WebGPU adapter has these features and limits; undefined: there is no adapter. */
function withAdapter(features: string[] | undefined, limits: Record<string, number> = {}): void {
  const adapter = features && { features: new Set(features), limits }
  vi.stubGlobal('navigator', { gpu: { requestAdapter: async () => adapter ?? null } })
}

test('nothing is loaded before the call; what is known is there', () => {
  const load = vi.fn()
  const definition = { ...variant(fakeOrt(['x']), 'web', 'wasm'), ort: load }
  const external = [{ path: 'm_data', bytes: 2, url: '/m_data' }]
  const model = defineModel([{ ...definition, external }])
  expect(model.url).toBe('/web.onnx')
  expect(model.inputs.map(({ name }) => name)).toEqual(['x'])
  expect(model.outputs.map(({ name }) => name)).toEqual(['y'])
  expect(model.info.irVersion).toBe(10)
  expect(model.variants).toEqual([{ target: 'web', device: 'wasm', url: '/web.onnx', bytes: 6, info: model.info }])
  expect(load).not.toHaveBeenCalled()
})

test('the model and its external data arrive with progress and under the exact location', async () => {
  const ort = fakeOrt(['x'])
  const external = [{ path: 'weights/m_data', bytes: 2, url: '/m_data' }]
  const progress: [number, number][] = []
  const model = defineModel([variant(ort, 'web', 'wasm', { external })])
  const session = await model({ onProgress: (loaded, total) => progress.push([loaded, total]) })
  expect(ort.created[0]?.model).toEqual(MODEL)
  expect(ort.created[0]?.options['externalData']).toEqual([{ path: 'weights/m_data', data: DATA }])
  expect(progress.at(-1)).toEqual([6, 6])
  expect((await session.run({ x: 1 }))['y']?.item()).toBe(7)
})

test('session options: the target, then the caller', async () => {
  const ort = fakeOrt(['x'])
  const sessionOptions = { graphOptimizationLevel: 'basic', enableMemPattern: false } as const
  await defineModel([variant(ort, 'web', 'wasm', { sessionOptions })])({ session: { enableMemPattern: true } })
  expect(ort.created[0]?.options).toEqual({
    executionProviders: ['wasm'],
    graphOptimizationLevel: 'basic',
    enableMemPattern: true,
  })
})

describe('the WebAssembly of ONNX Runtime', () => {
  test('is found where the build put it, unless the page has said so', async () => {
    const ort = fakeOrt(['x'])
    const wasm = { mjs: './ort.mjs', wasm: new URL('/ort.wasm', base) }
    await defineModel([variant(ort, 'web', 'wasm', { wasm })])()
    expect(ort.env.wasm.wasmPaths).toEqual({ mjs: `${base}/app/ort.mjs`, wasm: `${base}/ort.wasm` })
    const set = fakeOrt(['x'])
    set.env.wasm.wasmPaths = '/mine/'
    await defineModel([variant(set, 'web', 'wasm', { wasm })])()
    expect(set.env.wasm.wasmPaths).toBe('/mine/')
  })

  test('uses threads in isolated pages only', async () => {
    const ort = fakeOrt(['x'])
    const model = defineModel([variant(ort, 'web', 'wasm')])
    await model({ threads: 4 })
    expect(ort.env.wasm.numThreads).toBe(1)
    const isolated = fakeOrt(['x'])
    // The wrapper reads the global scope when a session is made.
    vi.stubGlobal('crossOriginIsolated', true)
    await defineModel([variant(isolated, 'web', 'wasm')])({ threads: 4 })
    vi.stubGlobal('crossOriginIsolated', undefined)
    expect(isolated.env.wasm.numThreads).toBe(4)
  })

  test('takes one call at a time over all its sessions', async () => {
    const ort = fakeOrt(['x'])
    const model = defineModel([variant(ort, 'web', 'wasm')])
    const [a, b] = await Promise.all([model(), model()])
    await Promise.all([a.run({ x: 1 }), b.run({ x: 1 })])
    expect(ort.log).toEqual(['start', 'end', 'start', 'end'])
  })
})

describe('downloads', () => {
  test.each(['/missing.onnx', '/page.onnx', 'http://127.0.0.1:1/m.onnx'])('%s is a clear error', async (url) => {
    const model = defineModel([variant(fakeOrt(['x']), 'web', 'wasm', { url })])
    await expect(model()).rejects.toMatchObject({ code: 'DOWNLOAD_FAILED', message: expect.stringContaining(url) })
  })

  test('can be aborted', async () => {
    const model = defineModel([variant(fakeOrt(['x']), 'web', 'wasm'), variant(fakeOrt(['x']), 'other', 'wasm')])
    const signal = AbortSignal.abort()
    await expect(model({ signal })).rejects.toMatchObject({ name: 'AbortError' })
  })
})

describe('targets in a browser', () => {
  const pair = (gpu: FakeOrt, wasm: FakeOrt, requires: Record<string, number> = {}) =>
    defineModel([variant(gpu, 'gpu', 'webgpu', { requires }), variant(wasm, 'web', 'wasm')])

  test('the first that can run is taken and the other is not even downloaded', async () => {
    withAdapter(['shader-f16'])
    requests.length = 0
    const taken: unknown[] = []
    const session = await pair(fakeOrt(['x']), fakeOrt(['x']), { 'shader-f16': 1 })({
      onTarget: (choice) => taken.push(choice),
    })
    expect(session).toMatchObject({ target: 'gpu', device: 'webgpu', skipped: [] })
    expect(taken).toEqual([{ target: 'gpu', device: 'webgpu', skipped: [] }])
    expect(requests).toEqual(['/gpu.onnx'])
  })

  test.each([
    ['no WebGPU', () => vi.stubGlobal('navigator', {}), 'no webgpu in this browser'],
    ['no adapter', () => withAdapter(undefined), 'no WebGPU adapter'],
    ['no shader-f16', () => withAdapter([]), 'the WebGPU adapter has no shader-f16'],
  ])('%s: the next, without loading ONNX Runtime or the model for WebGPU', async (_, prepare, reason) => {
    prepare()
    requests.length = 0
    const gpu = fakeOrt(['x'])
    const session = await pair(gpu, fakeOrt(['x']), { 'shader-f16': 1 })()
    expect(session).toMatchObject({
      target: 'web',
      device: 'wasm',
      skipped: [{ target: 'gpu', device: 'webgpu', reason }],
    })
    expect(requests).toEqual(['/web.onnx'])
    expect(gpu.created).toEqual([])
  })

  test('limits: the adapter has them, or the next target is taken, with what was wanted and what there is', async () => {
    const limits = { maxBufferSize: 400, maxStorageBufferBindingSize: 200 }
    const model = pair(fakeOrt(['x']), fakeOrt(['x']), { 'shader-f16': 1, ...limits })
    withAdapter(['shader-f16'], limits)
    expect(await model()).toMatchObject({ target: 'gpu', skipped: [] })
    for (const [name, least] of Object.entries(limits)) {
      withAdapter(['shader-f16'], { ...limits, [name]: least - 1 })
      requests.length = 0
      const reason = `the WebGPU adapter has no ${name} of ${least}, only ${least - 1}`
      expect(await model()).toMatchObject({ target: 'web', skipped: [{ target: 'gpu', reason }] })
      expect(requests).toEqual(['/web.onnx'])
    }
    withAdapter(['shader-f16'], { ...limits, maxBufferSize: 0 })
    await expect(model({ target: 'gpu' })).rejects.toMatchObject({
      code: 'SESSION_FAILED',
      message: expect.stringContaining('maxBufferSize'),
    })
  })

  test('WebNN: a context of the kind that is asked for, or the next', async () => {
    const asked: unknown[] = []
    const give = (context: () => object) =>
      vi.stubGlobal('navigator', {
        ml: {
          createContext: async (options: unknown) => {
            asked.push(options)
            return context()
          },
        },
      })
    const provider = { name: 'webnn', deviceType: 'npu' } as const
    const sessionOptions = { executionProviders: [provider] }
    const model = () => {
      requests.length = 0
      return defineModel([
        variant(fakeOrt(['x']), 'npu', 'webnn', { sessionOptions }),
        variant(fakeOrt(['x']), 'web', 'wasm'),
      ])()
    }
    const destroy = vi.fn()
    give(() => ({ destroy }))
    expect(await model()).toMatchObject({ target: 'npu', skipped: [] })
    expect(asked).toEqual([provider])
    expect(destroy).toHaveBeenCalledOnce()
    give(() => {
      throw new Error('no NPU')
    })
    expect(await model()).toMatchObject({ target: 'web', skipped: [{ target: 'npu', reason: 'no NPU' }] })
    expect(requests).toEqual(['/web.onnx'])
    vi.stubGlobal('navigator', {})
    expect(await model()).toMatchObject({ skipped: [{ reason: 'no webnn in this browser' }] })
  })

  test('outputs that are kept stay on the device, and only there', async () => {
    withAdapter([])
    const [gpu, wasm] = [fakeOrt(['x']), fakeOrt(['x'])]
    await pair(gpu, wasm)({ keep: ['other', 'y*'] })
    expect(gpu.created[0]!.options['preferredOutputLocation']).toEqual({ y: 'gpu-buffer' })
    await pair(gpu, wasm)({ keep: ['y'], target: 'web' })
    expect(wasm.created[0]!.options['preferredOutputLocation']).toBeUndefined()
  })

  test('a session that can not be made: the next', async () => {
    withAdapter([])
    const session = await pair(fakeOrt(['x'], ['webgpu']), fakeOrt(['x']))()
    expect(session).toMatchObject({ target: 'web', skipped: [{ target: 'gpu', reason: 'webgpu is broken' }] })
  })

  test('no target left: the same model on wasm, downloaded once', async () => {
    withAdapter([])
    requests.length = 0
    const gpu = fakeOrt(['x'], ['webgpu'])
    const model = defineModel([variant(gpu, 'gpu', 'webgpu', { sessionOptions: { executionProviders: ['webgpu'] } })])
    expect(await model()).toMatchObject({ target: 'gpu', device: 'wasm', skipped: [{ device: 'webgpu' }] })
    expect(requests).toEqual(['/gpu.onnx'])
    expect(gpu.created.map(({ options }) => options['executionProviders'])).toEqual([['webgpu'], ['wasm']])
  })

  test('a target asked for by name, or fallback: false, is that or an error', async () => {
    withAdapter(undefined)
    const model = pair(fakeOrt(['x']), fakeOrt(['x']))
    expect(await model({ target: 'web' })).toMatchObject({ target: 'web', skipped: [] })
    await expect(model({ target: 'gpu' })).rejects.toMatchObject({
      code: 'SESSION_FAILED',
      message: expect.stringContaining('gpu (webgpu): no WebGPU adapter'),
    })
    await expect(model({ target: 'tpu' })).rejects.toMatchObject({ code: 'TARGET_UNKNOWN' })
    const alone = defineModel([variant(fakeOrt(['x']), 'gpu', 'webgpu')])
    await expect(alone({ fallback: false })).rejects.toMatchObject({ code: 'SESSION_FAILED' })
  })
})

describe('targets in Node', () => {
  test('a provider that the package does not have is skipped before trying', async () => {
    const ort = { ...fakeOrt(['x']), listSupportedBackends: () => [{ name: 'cpu', bundled: true }] }
    const session = await defineNodeModel([variant(ort, 'mac', 'coreml', { url: '/m.onnx' })])()
    expect(session).toMatchObject({ target: 'mac', device: 'cpu', skipped: [{ device: 'coreml' }] })
    expect(ort.created).toEqual([{ model: '/m.onnx', options: { executionProviders: ['cpu'] } }])
  })

  test('libraries that are missing show before the model is downloaded for them', async () => {
    const backends = [
      { name: 'cpu', bundled: true },
      { name: 'cuda', bundled: false },
    ]
    const make = (broken: string[]) => {
      const ort = { ...fakeOrt(['x'], broken), listSupportedBackends: () => backends }
      requests.length = 0
      return defineNodeModel([
        variant(ort, 'gpu', 'cuda', { url: `${base}/gpu.onnx` }),
        variant(ort, 'host', 'cpu', { url: `${base}/host.onnx` }),
      ])()
    }
    const skipped = [{ target: 'gpu', device: 'cuda', reason: 'cuda is broken' }]
    expect(await make(['cuda'])).toMatchObject({ target: 'host', skipped })
    expect(requests).toEqual(['/host.onnx'])
    expect(await make([])).toMatchObject({ target: 'gpu', skipped: [] })
    expect(requests).toEqual(['/gpu.onnx'])
  })

  test('threads are those of one operator', async () => {
    const ort = fakeOrt(['x'])
    await defineNodeModel([variant(ort, 'cpu', 'cpu')])({ threads: 2 })
    expect(ort.created[0]?.options['intraOpNumThreads']).toBe(2)
  })

  test('an open WebGPU session is released when the process ends', async () => {
    const before = process.listeners('exit')
    const ort = fakeOrt(['x'])
    const model = defineNodeModel([variant(ort, 'gpu', 'webgpu')])
    const [open, closed] = await Promise.all([model(), model()])
    await closed.dispose()
    const added = process.listeners('exit').filter((listener) => !before.includes(listener))
    expect(added.length).toBe(1)
    added[0]!(0)
    expect(ort.log).toEqual(['release', 'release'])
    await open.dispose()
  })

  test('a model behind http is fetched with its external data', async () => {
    const ort = fakeOrt(['x'])
    const external = [{ path: 'm_data', bytes: 2, url: `${base}/m_data` }]
    await defineNodeModel([variant(ort, 'cpu', 'cpu', { url: `${base}/m.onnx`, external })])()
    expect(ort.created).toEqual([
      { model: MODEL, options: { executionProviders: ['cpu'], externalData: [{ path: 'm_data', data: DATA }] } },
    ])
  })
})
