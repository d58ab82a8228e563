import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { OnnxError } from '../../src/onnx/errors.ts'
import { matchesModel, presetOf, resolveRequest, validatePluginOptions } from '../../src/options/index.ts'

vi.mock('../../src/passes/index.ts', () => import('./passes.mock.ts'))

/** The plugin's real types know the real passes; here the passes are others. */
type Plugin = Record<string, unknown>
const at = { file: '/app/models/bert.onnx', root: '/app', importSite: 'src/main.ts' }
const request = (plugin: Plugin, query: string, kind?: 'client' | 'server', mode?: string) =>
  resolveRequest({ plugin, query, ...at, ...(kind ? { environment: { kind, mode } } : {}) })
const only = (plugin: Plugin, query: string, kind?: 'client' | 'server') => {
  const { targets } = request(plugin, query, kind)
  expect(targets).toHaveLength(1)
  return targets[0]!
}
function failure(run: () => unknown): OnnxError {
  try {
    run()
  } catch (error) {
    if (error instanceof OnnxError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

beforeEach(() => vi.stubEnv('ONNX_TARGET', undefined))
afterEach(() => vi.unstubAllEnvs())

describe('defaults', () => {
  test('an import without options is lossless', () => {
    expect(request({}, '')).toEqual({
      as: 'session',
      targets: [
        {
          target: 'web',
          device: 'wasm',
          params: { optimize: 'clean', weightType: 'auto', perChannel: false, reduceRange: false, verbose: false },
        },
      ],
    })
  })
})

describe('precedence', () => {
  const layers: Plugin = {
    weightType: 'int8',
    perChannel: true,
    targets: { web: { device: 'wasm', weightType: 'uint8', reduceRange: true } },
    models: { '**/bert*.onnx': { reduceRange: false, quantize: 'dynamic' }, 'bert.onnx': { optimize: 'none' } },
  }
  test.each([
    ['', { weightType: 'uint8', perChannel: true, reduceRange: false, quantize: 'dynamic', optimize: 'none' }],
    ['weight_type=int8&reduce_range', { weightType: 'int8', reduceRange: true }],
    ['target=node', { weightType: 'int8', reduceRange: false }],
  ])('defaults < target < models < query: %s', (query, expected) => {
    expect(only(layers, query).params).toMatchObject(expected)
  })
  test('a model that no glob means keeps to its target', () => {
    const { targets } = resolveRequest({ plugin: layers, query: '', file: '/app/models/vit.onnx', root: '/app' })
    expect(targets[0]!.params).toMatchObject({ reduceRange: true, optimize: 'clean' })
    expect(targets[0]!.params).not.toHaveProperty('quantize')
  })
  test('`as` comes from query, models, plugin', () => {
    expect(request({ as: 'url' }, '').as).toBe('url')
    expect(request({ as: 'url', models: { '*.onnx': { as: 'path' } } }, '').as).toBe('path')
    expect(request({ as: 'url' }, 'as=bytes').as).toBe('bytes')
    expect(request({}, 'url').as).toBe('url')
  })
  test('keys that bundlers add are no parameters', () => {
    expect(request({}, 'import&t=123456&v=ab12&quantize=dynamic').targets[0]!.params).toMatchObject({
      quantize: 'dynamic',
    })
  })
})

describe('choice of targets', () => {
  const targets = {
    server: { device: 'cpu', optimize: 'none' },
    browser: { device: 'wasm' },
    gpu: { device: 'webgpu' },
  }
  const names = (plugin: Plugin, query = '', kind?: 'client' | 'server', mode?: string) =>
    request(plugin, query, kind, mode).targets.map(({ target, device }) => `${target}:${device}`)

  test.each<[Plugin, string, 'client' | 'server' | undefined, string[]]>([
    [{}, '', undefined, ['web:wasm']],
    [{}, '', 'client', ['web:wasm']],
    [{}, '', 'server', ['node:cpu']],
    [{ targets }, '', 'client', ['browser:wasm']],
    [{ targets }, '', 'server', ['server:cpu']],
    [{ targets }, '', undefined, ['server:cpu']],
    [{ targets: { gpu: targets.gpu } }, '', 'server', ['node:cpu']],
    [{ targets, target: 'gpu' }, '', 'server', ['gpu:webgpu']],
    [{ targets, target: ['gpu', 'browser'] }, '', 'client', ['gpu:webgpu', 'browser:wasm']],
    [{ targets, target: { client: 'gpu' } }, '', 'client', ['gpu:webgpu']],
    [{ targets, target: { client: 'gpu' } }, '', 'server', ['server:cpu']],
    [{ targets, target: 'gpu' }, 'target=browser', 'client', ['browser:wasm']],
    [{ targets }, 'targets=gpu,web', 'client', ['gpu:webgpu', 'web:wasm']],
    [{ targets, models: { '*.onnx': { targets: ['gpu', 'web'] } } }, '', 'client', ['gpu:webgpu', 'web:wasm']],
    [{ targets, models: { '*.onnx': { targets: ['gpu', 'web'] } } }, 'target=web', 'client', ['web:wasm']],
    [{ targets }, 'device=webgpu', 'client', ['gpu:webgpu']],
    [{ targets }, 'device=cuda', 'client', ['cuda:cuda']],
    [{ device: 'webgpu' }, '', 'client', ['webgpu:webgpu']],
    [{ targets }, 'target=browser&device=webnn', 'client', ['browser:webnn']],
  ])('%j %s in %s: %j', (plugin, query, kind, expected) => {
    expect(names(plugin, query, kind)).toEqual(expected)
  })
  test('by mode, before the environment', () => {
    const target = { production: 'gpu', client: 'browser' }
    expect(names({ targets, target }, '', 'client', 'production')).toEqual(['gpu:webgpu'])
    expect(names({ targets, target }, '', 'client', 'development')).toEqual(['browser:wasm'])
  })
  test('by the environment variable, after the `target` option', () => {
    vi.stubEnv('ONNX_TARGET', 'gpu, browser')
    expect(names({ targets })).toEqual(['gpu:webgpu', 'browser:wasm'])
    expect(names({ targets, target: 'server' })).toEqual(['server:cpu'])
    vi.stubEnv('ONNX_TARGET', 'gpuu')
    expect(() => names({ targets })).toThrow(/there is no target 'gpuu' \(in ONNX_TARGET\)[\s\S]*'gpu'/)
  })
  test('a target of the user replaces the built-in one of its name', () => {
    expect(only({ targets: { web: { device: 'webgpu' } } }, '', 'client').device).toBe('webgpu')
  })
})

describe('presets and dtypes', () => {
  test.each([
    ['preset=avx512_vnni', { perChannel: true, reduceRange: false }],
    ['preset=avx512_vnni&reduce_range', { perChannel: true, reduceRange: true }],
    ['preset=avx2&reduce_range=false', { perChannel: true, reduceRange: false }],
    ['dtype=q8', { quantize: 'dynamic', weightType: 'auto' }],
    ['dtype=uint8', { quantize: 'dynamic', weightType: 'uint8' }],
    ['dtype=uint8&weight_type=int8', { quantize: 'dynamic', weightType: 'int8' }],
    ['dtype=uint8&preset=avx2', { quantize: 'dynamic', weightType: 'uint8', perChannel: true }],
    ['preset=small', { quantize: 'dynamic', weightType: 'uint8', perChannel: true, reduceRange: true }],
    ['preset=small,avx512_vnni', { quantize: 'dynamic', weightType: 'uint8', reduceRange: false }],
  ])('%s', (query, expected) => {
    expect(
      only({ presets: { small: { dtype: 'uint8', perChannel: true, reduceRange: true } } }, query).params,
    ).toMatchObject(expected)
  })
  test('fp32 takes back what lower layers asked for', () => {
    expect(only({ quantize: 'dynamic' }, 'dtype=fp32').params).not.toHaveProperty('quantize')
  })
  test('a default of a parameter survives a dtype that does not name it', () => {
    expect(only({ perChannel: true }, 'dtype=q8').params).toMatchObject({ perChannel: true, quantize: 'dynamic' })
  })
  test('a CPU preset decides about the range, whatever lower layers say', () => {
    // of the mock's pass; the real one has no default: as many bits as cannot saturate
    expect(only({ reduceRange: true }, 'preset=avx512_vnni').params).toMatchObject({ reduceRange: false })
    expect(only({ reduceRange: true, weightType: 'int8' }, 'preset=avx2').params).toMatchObject({
      reduceRange: false,
      weightType: 'int8',
    })
  })
  test('`auto` is the preset of this CPU', () => {
    const { preset: _, ...auto } = only({ reduceRange: true }, 'preset=auto').params
    const { preset: __, ...named } = only({ reduceRange: true }, `preset=${presetOf()}`).params
    expect(auto).toEqual(named)
  })
})

describe('errors', () => {
  test.each<[Plugin, string, string, RegExp]>([
    [{}, 'qunatize=dynamic', 'OPTION_UNKNOWN', /query parameter `qunatize`[\s\S]*Did you mean `quantize`/],
    [{}, 'target=gpuu', 'TARGET_UNKNOWN', /'gpuu'[\s\S]*node, web,/],
    [{}, 'targets=web&target=web', 'OPTION_CONFLICT', /exclude each other/],
    [{}, 'preset=avx', 'PRESET_UNKNOWN', /Did you mean 'avx2'/],
    [{}, 'dtype=q4', 'OPTION_UNAVAILABLE', /dtype 'q4' is not available[\s\S]*blockSize/],
    [{}, 'dtype=fp16', 'OPTION_UNAVAILABLE', /dtype 'fp16' is not available[\s\S]*precision/],
    [{}, 'dtype=q5', 'OPTION_VALUE', /'q5' is not a value of `dtype`/],
    [{}, 'device=gpu', 'OPTION_VALUE', /Expected cpu, cuda/],
    [{}, 'target=webgpu&quantize=dynamic', 'DEVICE', /no MatMulInteger/],
    [{ quantise: 'dynamic' }, '', 'OPTION_UNKNOWN', /in the plugin options[\s\S]*`quantize`/],
    [{ cahce: false }, '', 'OPTION_UNKNOWN', /Did you mean `cache`/],
    [{ targets: { web: { as: 'url' } } }, '', 'OPTION_UNKNOWN', /targets\['web'\]/],
    [{ models: { '*.onnx': { bits: 4 } } }, '', 'OPTION_UNKNOWN', /models\['\*\.onnx'\]/],
    [{ presets: { a: { preset: 'b' } } }, 'preset=a', 'PRESET_NESTED', /cannot be nested/],
  ])('%j %s: %s', (plugin, query, code, text) => {
    const error = failure(() => request(plugin, query))
    expect(error.code).toBe(code)
    expect(error.message).toMatch(text)
    expect(error.message).toContain('imported by src/main.ts')
  })

  test.each<[Plugin, RegExp]>([
    [{ targets: { gpu: { devise: 'webgpu' } } }, /targets\['gpu'\][\s\S]*`device`/],
    [{ models: { '*.onnx': { perChanel: true } } }, /`perChannel`/],
    [{ presets: { a: { weightType: 'int9' } } }, /presets\['a'\][\s\S]*Did you mean 'int8'/],
    [{ target: 'nod' }, /Did you mean 'node'/],
    [{ target: { client: 'wep' } }, /Did you mean 'web'/],
    [{ targets: [] as never }, /`targets`/],
    [{ models: 'x' as never }, /`models`/],
    [{ cache: { dirr: 'x' } }, /`dir`/],
    [{ dts: 3 }, /`dts`/],
  ])('at start-up: %j', (plugin, text) => {
    expect(failure(() => validatePluginOptions(plugin)).message).toMatch(text)
  })
  test('good options pass at start-up', () => {
    validatePluginOptions({ target: ['node', 'web'], cache: { dir: '.cache' }, dts: 'types/onnx.d.ts', report: false })
  })
})

test.each([
  ['**/bert*.onnx', '/app/models/bert-base.onnx', true],
  ['bert*.onnx', '/app/models/bert-base.onnx', true],
  ['models/*.onnx', '/app/models/bert.onnx', true],
  ['./models/*.onnx', '/app/models/bert.onnx', true],
  ['*/bert.onnx', '/app/deep/models/bert.onnx', false],
  ['vit*.onnx', '/app/models/bert.onnx', false],
  ['**/{bert,vit}.onnx', '/app/models/vit.onnx', true],
  ['/shared/*.onnx', '/shared/bert.onnx', true],
  ['**/*.onnx', '/shared/bert.onnx', true],
])('glob %s and %s: %s', (glob, file, expected) => {
  expect(matchesModel(glob, file, '/app')).toBe(expected)
})
