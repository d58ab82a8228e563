import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { globSync } from 'tinyglobby'
import { describe, expect, test } from 'vitest'
import { readModel } from '../../../../src/graph/import.ts'
import type { WeightOptions } from '../../../../src/passes/quantize/weights/index.ts'
import { type GoldenSetting, golden } from '../../../support/golden.ts'
import { hasShared, shared, sharedDir } from '../../../support/shared.ts'
import { quantizeWeights } from '../../../support/weights.ts'

/** Settings of the reference tool's plain recipe. Its other recipes have their own search for scales. */
function optionsOf(name: string, { options }: GoldenSetting): Partial<WeightOptions> | undefined {
  if (!/^default\d?-b\d+-a?sym(-acc\d)?$/.test(name)) return undefined
  return {
    algorithm: 'rtn',
    scaleType: 'float32',
    mixedBits: false,
    blockSize: options['block_size'] as number,
    symmetric: options['is_symmetric'] as boolean,
    bits: (options['bits'] as number | undefined) ?? 4,
    accuracyLevel: options['accuracy_level'] as number | undefined,
    // The reference tool leaves Gemm and Gather float.
    ops: ['MatMul'],
  }
}

describe.skipIf(!hasShared)('the plain recipe gives what the reference tool gives, to the bit', () => {
  const names = globSync(['own/*.onnx'], { cwd: sharedDir })
    .map((file) => file.slice(4, -5))
    .filter((name) => existsSync(shared(`own/golden/${name}.json`)))
    .sort()
  test.each(names)('%s', async (name) => {
    for (const [setting, reference] of Object.entries(golden(name)['nbits'] ?? {})) {
      const options = optionsOf(setting, reference)
      if (!options || reference.error) continue
      const model = readModel(shared(`own/${name}.onnx`))
      await quantizeWeights(model, options)
      const ops = model.histogram()
      for (const op of ['MatMul', 'com.microsoft:MatMulNBits'])
        expect.soft([setting, op, ops[op] ?? 0]).toEqual([setting, op, reference.ops[op] ?? 0])
      const constants = new Map(
        [...model.allGraphs()].flatMap(({ initializers }) =>
          [...initializers].map(({ name, tensor }) => [name, tensor]),
        ),
      )
      for (const [parameter, { shape, sha, values }] of Object.entries(reference.qparams)) {
        const tensor = constants.get(parameter)
        expect.soft(tensor?.dims, `${setting} ${parameter}`).toEqual(shape)
        if (!tensor) continue
        // The numbers of small tensors were saved with seven digits, of the others a hash.
        if (values) {
          const off = tensor.toNumbers().findIndex((x, i) => Math.abs(x - values[i]!) > 1e-6 * Math.abs(x))
          expect.soft(off, `${setting} ${parameter}`).toBe(-1)
        } else if (sha)
          expect
            .soft(createHash('sha256').update(tensor.bytes()).digest('hex').slice(0, 16), `${setting} ${parameter}`)
            .toBe(sha)
      }
    }
  })
})
