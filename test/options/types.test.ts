import { expectTypeOf, test } from 'vitest'
import type { TransformOptions } from '../../src/api.ts'
import type { ModelOptions, PluginOptions, TargetOptions } from '../../src/options/index.ts'

test('types of options follow the table', () => {
  expectTypeOf<NonNullable<PluginOptions['quantize']>>().toEqualTypeOf<NonNullable<TargetOptions['quantize']>>()
  expectTypeOf<'dynamic'>().toExtend<NonNullable<PluginOptions['quantize']>>()
  expectTypeOf<NonNullable<TargetOptions['perChannel']>>().toEqualTypeOf<boolean>()
  expectTypeOf<NonNullable<TargetOptions['excludeNodes']>>().toEqualTypeOf<readonly string[]>()
  expectTypeOf<NonNullable<ModelOptions['as']>>().toEqualTypeOf<'session' | 'url' | 'bytes' | 'path' | 'info'>()
  expectTypeOf<NonNullable<ModelOptions['target']>>().toEqualTypeOf<string>()
  expectTypeOf<TargetOptions>().not.toHaveProperty('targets')
  expectTypeOf<TransformOptions>().not.toHaveProperty('as')
})

test('wrong options are type errors', () => {
  const good: PluginOptions = {
    dtype: 'q8',
    targets: { page: { device: 'wasm', quantize: 'dynamic', perChannel: true } },
    models: { '*.onnx': { target: 'page', excludeNodes: ['/pooler/*'] } },
    target: { client: 'page' },
    cache: false,
  }
  expectTypeOf(good).toExtend<PluginOptions>()
  const wrong: PluginOptions[] = [
    // @ts-expect-error no such option
    { dtipe: 'q8' },
    // @ts-expect-error no such dtype
    { dtype: 'q9' },
    // @ts-expect-error no such device
    { targets: { page: { device: 'gpu' } } },
    // @ts-expect-error a target cannot choose a target
    { targets: { page: { target: 'web' } } },
    // @ts-expect-error a list, not a text
    { models: { '*.onnx': { excludeNodes: '/pooler/*' } } },
  ]
  expectTypeOf(wrong).toExtend<PluginOptions[]>()
})
