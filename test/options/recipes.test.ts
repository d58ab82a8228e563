import { describe, expect, test } from 'vitest'
import { OnnxError } from '../../src/onnx/errors.ts'
import { cacheOptions, DTYPES_BY_NAME, enabledPasses, resolveRequest } from '../../src/options/index.ts'
import { isAvailable } from '../../src/options/layers.ts'
import { ACCELERATOR_PRESETS, CPU_PRESETS, FLOAT_PRESETS } from '../../src/options/presets.ts'
import type { PluginOptions } from '../../src/options/types.ts'

// With the passes of the project: a recipe must ask for parameters that exist, or be refused as a whole.
const resolved = (query: string) =>
  resolveRequest({ query, file: '/m.onnx', root: '/', environment: { kind: 'server' } }).targets[0]!
const lossy = (query: string) => enabledPasses(resolved(query)).filter((pass) => !pass.lossless)

test('without options nothing is lost', () => {
  expect(lossy('')).toEqual([])
})

test.each(['dtype=q4&quantize=dynamic', 'dtype=bnb4&quantize=weights', 'dtype=q8&quantize=none'])(
  'one layer cannot ask for both: %s',
  (query) => {
    expect(() => resolved(query)).toThrow(/contradict each other/)
  },
)

test('8 bits may be found in other ways, and a lower layer gives way', () => {
  const plugin = { dtype: 'q4' } as PluginOptions
  const query = 'quantize=dynamic'
  const { params } = resolveRequest({ plugin, query, file: '/m.onnx', root: '/' }).targets[0]!
  expect(params).toMatchObject({ quantize: 'dynamic' })
  expect(resolved('dtype=q8&quantize=static&calibration=data.npz').params).toMatchObject({ quantize: 'static' })
})

describe.each(Object.keys(DTYPES_BY_NAME))('dtype %s', (dtype) => {
  test(isAvailable(dtype) ? 'turns passes on, and fp32 turns them off again' : 'is refused', () => {
    if (!isAvailable(dtype)) {
      expect(() => resolved(`dtype=${dtype}`)).toThrow(OnnxError)
      return
    }
    expect(lossy(`dtype=${dtype}`).length).toBe(dtype === 'fp32' ? 0 : dtype === 'q4f16' ? 2 : 1)
    const plugin = { dtype } as PluginOptions
    const undone = resolveRequest({ plugin, query: 'dtype=fp32', file: '/m.onnx', root: '/' }).targets[0]!
    expect(enabledPasses(undone).filter((pass) => !pass.lossless)).toEqual([])
  })
})

test.each(Object.keys(ACCELERATOR_PRESETS))('preset %s quantizes statically, with data', (preset) => {
  expect(() => resolved(`preset=${preset}`)).toThrow(/needs calibration data/)
  expect(lossy(`preset=${preset}&calibration=data.npz`).map(({ name }) => name)).toEqual(['quantize-static'])
})

test.each(Object.keys(FLOAT_PRESETS))('preset %s is float16, without data', (preset) => {
  expect(lossy(`preset=${preset}`).map(({ name }) => name)).toEqual(['float16'])
})

test.each([...Object.keys(CPU_PRESETS), 'auto'])(
  'preset %s is accepted and changes nothing that does not run',
  (preset) => {
    expect(cacheOptions(resolved(`preset=${preset}`))).toEqual(cacheOptions(resolved('')))
    expect(lossy(`preset=${preset}&quantize=dynamic`)).toHaveLength(1)
  },
)
