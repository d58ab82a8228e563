import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { Model } from '../../../src/graph/model.ts'
import { clean } from '../../../src/passes/clean/index.ts'
import { type FuseOptions, run as runFuse } from '../../../src/passes/fuse/run.ts'
import { ortOptimize } from '../../../src/passes/ort-optimize/index.ts'
import { feedsOf, ort, ownModel } from '../../support/attention.ts'
import { golden } from '../../support/golden.ts'
import { difference, passContext } from '../../support/models.ts'
import { hasShared, shared } from '../../support/shared.ts'

/** Settings that every model is built with; the others are for models of one exporter. */
const LEVELS = ['o0', 'o1', 'o2', 'o99']
const VARIED = ['tiny-bert', 'tiny-vit', 'tiny-bart-encoder', 'tiny-distilbert']

type Level = 'clean' | 'basic' | 'extended' | 'all'

/** Calls of the reference tool, by their names in the recorded results, as options of ours. */
const SETTINGS: Record<string, { level: Level; options?: Partial<FuseOptions> }> = {
  o0: { level: 'clean' },
  o1: { level: 'basic' },
  o2: { level: 'extended' },
  o99: { level: 'all' },
  'o1-mha': { level: 'basic', options: { attentionOp: 'MultiHeadAttention' } },
  'o1-geluapprox': { level: 'basic', options: { geluApproximation: true } },
  'o1-noembed': { level: 'basic', options: { without: ['embed_layer_norm'] } },
}

/** Operators that count for one of the reference's: itself, and what holds it together with more. */
const AT_LEAST: Record<string, readonly string[]> = {
  LayerNormalization: ['LayerNormalization', 'SkipLayerNormalization', 'EmbedLayerNormalization'],
  SkipLayerNormalization: ['SkipLayerNormalization'],
  EmbedLayerNormalization: ['EmbedLayerNormalization'],
  Attention: ['Attention', 'MultiHeadAttention', 'GroupQueryAttention'],
  MultiHeadAttention: ['Attention', 'MultiHeadAttention', 'GroupQueryAttention'],
  SimplifiedLayerNormalization: [
    'SimplifiedLayerNormalization',
    'RMSNormalization',
    'SkipSimplifiedLayerNormalization',
  ],
  SkipSimplifiedLayerNormalization: ['SkipSimplifiedLayerNormalization'],
  Gelu: ['Gelu', 'BiasGelu'],
  BiasGelu: ['BiasGelu'],
  FastGelu: ['FastGelu'],
}

/** What only GPUs have kernels for: counted in what is built for one. */
const GPU_ONLY = ['BiasAdd', 'BiasSplitGelu', 'GroupNorm', 'NhwcConv', 'SkipGroupNorm']

/** Where the reference fuses more for a GPU, and why it is right not to: its results do not run. */
const JUSTIFIED: Record<string, string> = {
  BiasAdd: 'the kernels take 320, 640 or 1280 channels, and fail for the 32 and 64 of this model',
  BiasSplitGelu: 'the kernels take 1280, 2560 or 5120 channels, and fail for the 128 and 256 of this model',
  GroupNorm: 'the kernels load channels of a group in pairs, and fail for groups of 1 or 3 channels',
  SkipGroupNorm: 'as GroupNorm',
}

/** The tanh approximation is off by less than this, as it is in the reference's results. */
const APPROXIMATION = 5e-3

interface Statistics {
  fused_operator_statistics?: Record<string, number>
  options: { model_type: FuseOptions['fuse'] }
  error?: string
}

const names = hasShared
  ? Object.keys(JSON.parse(readFileSync(shared('own/manifest.json'), 'utf8')) as object).filter(
      (name) => golden(name)['transformers']?.['o0'],
    )
  : []

async function build(model: Model, type: FuseOptions['fuse'], setting: string): Promise<void> {
  const { level, options } = SETTINGS[setting]!
  const context = passContext({ threads: 2 })
  await clean.run(model, { optimize: level }, context)
  const fuse = options?.fuse ?? type
  if (fuse !== 'none') await runFuse(model, { strict: true, ...options, fuse }, context)
  if (level !== 'clean')
    await ortOptimize.run(model, { optimize: level, geluApproximation: options?.geluApproximation ?? false }, context)
}

function lacking(model: Model, wanted: Readonly<Record<string, number>>, isGpu = false): string[] {
  const ops = model.histogram()
  return Object.entries(wanted).flatMap(([op, count]) => {
    const alike = AT_LEAST[op] ?? (isGpu && GPU_ONLY.includes(op) ? [op] : undefined)
    if (!alike || !count) return []
    const found = alike.reduce((sum, each) => sum + (ops[each] ?? 0) + (ops[`com.microsoft:${each}`] ?? 0), 0)
    return found < count ? [`${op}: ${found} of ${count}`] : []
  })
}

describe.skipIf(!hasShared)('at least what the reference fuses', () => {
  describe.each(names)('%s', (name) => {
    const recorded = golden(name)['transformers'] as unknown as Record<string, Statistics>
    test.each(
      Object.keys(SETTINGS).filter(
        (setting) => recorded[setting] && (LEVELS.includes(setting) || VARIED.includes(name)),
      ),
    )(
      '%s',
      async (setting) => {
        const { fused_operator_statistics: wanted = {}, options } = recorded[setting]!
        const model = ownModel(name)
        const original = await ort.open(ownModel(name))
        await build(model, options.model_type, setting)
        expect(lacking(model, wanted)).toEqual([])
        const session = await ort.open(model)
        const known = new Set(original.inputs.map((input) => input.name))
        for (const feeds of feedsOf(name)) {
          const given = Object.fromEntries(Object.entries(feeds).filter(([input]) => known.has(input)))
          const actual = await session.run(given)
          for (const [output, tensor] of Object.entries(await original.run(given)))
            expect(difference(actual[output], tensor)).toBeLessThanOrEqual(
              setting === 'o1-geluapprox' ? APPROXIMATION : 1e-4,
            )
        }
        await original.release()
        await session.release()
      },
      120_000,
    )
  })

  test.each(['tiny-unet', 'tiny-vae-decoder', 'tiny-vae-encoder'])('%s for a GPU', async (name) => {
    const { fused_operator_statistics: wanted = {}, options } = (
      golden(name)['transformers'] as unknown as Record<string, Statistics>
    )['o1']!
    const model = ownModel(name)
    const context = passContext({ device: 'cuda' })
    await clean.run(model, { optimize: 'clean' }, context)
    await runFuse(model, { strict: true, fuse: options.model_type }, context)
    const less = lacking(model, wanted, true).filter((line) => !JUSTIFIED[line.split(':')[0]!])
    expect(less).toEqual([])
  })
})
