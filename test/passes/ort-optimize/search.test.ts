import { expect, test } from 'vitest'
import { OPTIMIZERS } from '../../../src/passes/ort-optimize/optimizers.ts'
import { findCulprits } from '../../../src/passes/ort-optimize/search.ts'

/** A run that is good once all of `wrong` are left out; counts its calls. */
function runner(wrong: readonly string[]) {
  const calls: ReadonlySet<string>[] = []
  return {
    calls,
    isGood: async (disabled: ReadonlySet<string>): Promise<boolean> => {
      calls.push(disabled)
      return wrong.every((name) => disabled.has(name))
    },
  }
}

test.each([
  [['EliminateIdentity']],
  [['Pad_Fusion']],
  [[OPTIMIZERS.at(-1)!]],
  [['ConvBNFusion', 'TransposeOptimizer', 'QuickGeluFusion']],
])('finds %s and nothing else', async (wrong) => {
  const { calls, isGood } = runner(wrong)
  const known = new Set(['MatMulAddFusion'])
  const found = await findCulprits(known, isGood)
  expect(new Set(found)).toEqual(new Set([...known, ...wrong]))
  expect(calls.at(-1)).toEqual(found)
  expect(calls.length).toBeLessThan(10 * wrong.length)
})

test('leaves everything out if there are many', async () => {
  const { isGood } = runner(OPTIMIZERS.filter((_, i) => i % 4 === 0))
  expect((await findCulprits(new Set(), isGood))?.size).toBe(OPTIMIZERS.length)
})

test('gives up if even that does not help', async () => {
  expect(await findCulprits(new Set(), async () => false)).toBeUndefined()
})
