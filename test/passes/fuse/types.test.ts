import { describe, expect, test } from 'vitest'
import { clean } from '../../../src/passes/clean/index.ts'
import { type FuseOptions, run } from '../../../src/passes/fuse/run.ts'
import { MODEL_TYPES } from '../../../src/rules/families/names.ts'
import { chosenPhases } from '../../../src/rules/index.ts'
import { feedsOf, ort, ownModel } from '../../support/attention.ts'
import { difference, passContext } from '../../support/models.ts'
import { draw } from '../../support/rules.ts'
import { hasShared } from '../../support/shared.ts'

/** Fuses a shared model and compares the results. */
async function fused(name: string, options: FuseOptions): Promise<Record<string, number>> {
  const model = ownModel(name)
  const original = await ort.open(ownModel(name))
  await clean.run(model, { optimize: 'clean' }, passContext())
  const result = await run(model, { strict: true, ...options }, passContext())
  const session = await ort.open(model)
  const known = new Set(original.inputs.map((input) => input.name))
  for (const feeds of feedsOf(name).slice(0, 4)) {
    const given = Object.fromEntries(Object.entries(feeds).filter(([input]) => known.has(input)))
    const actual = await session.run(given)
    for (const [output, tensor] of Object.entries(await original.run(given)))
      expect(difference(actual[output], tensor)).toBeLessThanOrEqual(1e-4)
  }
  await original.release()
  await session.release()
  return result.fused ?? {}
}

describe.skipIf(!hasShared)('a wrong type fuses less, never wrongly', () => {
  describe.each(['tiny-bert-sdpa', 'tiny-llama-past', 'tiny-t5-encoder', 'digits-vit'])('%s', (name) => {
    test.each(MODEL_TYPES)('as %s', async (fuse) => void (await fused(name, { fuse })))
  })
})

describe.skipIf(!hasShared)('types', () => {
  test('the report says which it is, and what it looks like where the user says something else', async () => {
    const dataOf = async (fuse: FuseOptions['fuse']) =>
      (await run(ownModel('tiny-llama'), { fuse }, passContext())).data
    expect(await dataOf('auto')).toMatchObject({ modelType: 'llama' })
    expect(await dataOf('mistral')).toMatchObject({ modelType: 'mistral' })
    expect(await dataOf('bert')).toMatchObject({ modelType: 'bert', looksLike: 'llama' })
  })

  test('attention operators by name', async () => {
    expect(await fused('tiny-bert', { fuse: 'bert', attentionOp: 'MultiHeadAttention' })).toMatchObject({
      MultiHeadAttention: 2,
    })
    expect(await fused('tiny-bert', { fuse: 'bert', attentionOp: 'Attention' })).toMatchObject({ Attention: 2 })
    expect(await fused('tiny-bert', { fuse: 'bert', attentionOp: 'GroupQueryAttention' })).not.toHaveProperty(
      'Attention',
    )
  })
})

describe('switches by the names of other tools', () => {
  test.each([
    'attention',
    'bias_add',
    'bias_gelu',
    'bias_skip_layer_norm',
    'bias_splitgelu',
    'embed_layer_norm',
    'gelu',
    'gelu_approximation',
    'group_norm',
    'layer_norm',
    'nhwc_conv',
    'rotary_embeddings',
    'skip_group_norm',
    'skip_layer_norm',
  ])('without=%s', (name) => {
    const all = chosenPhases({ also: ['gelu-approximation', 'nhwc-conv'] }).flat()
    const rest = chosenPhases({ also: ['gelu-approximation', 'nhwc-conv'], without: [name] }).flat()
    expect(rest.length).toBeLessThan(all.length)
  })

  test.each([
    ['qordered_matmul', 'are not made'],
    ['gemm_fast_gelu', 'has a kernel'],
    ['shape_inference', 'always found'],
  ])('%s has nothing to switch, said why', async (name, why) => {
    const model = await draw(({ op, input }) => op.Relu(input('x', [2])))
    await expect(run(model, { fuse: 'auto', without: [name] }, passContext())).rejects.toThrow(why)
  })
})
