import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { globSync } from 'tinyglobby'
import { describe, expect, test } from 'vitest'
import { readModel } from '../../../../src/graph/import.ts'
import type { Tensor } from '../../../../src/graph/tensor.ts'
import type { WeightOptions } from '../../../../src/passes/quantize/weights/index.ts'
import { type GoldenSetting, golden } from '../../../support/golden.ts'
import { hasShared, shared, sharedDir } from '../../../support/shared.ts'
import { quantizeWeights } from '../../../support/weights.ts'

/** A setting of the reference tool in options of this project. `isPlain`: rounding to nearest, where the numbers are the same too. */
function optionsOf(name: string, { options }: GoldenSetting): { own: Partial<WeightOptions>; isPlain: boolean } {
  const given = { ...options, ...(options['_top'] as object | undefined) } as Record<string, unknown>
  const algorithm = /^(hqq|kquant|gptq)/.exec(name)?.[1] ?? 'rtn'
  return {
    // GPTQ needs data, which changes no operator.
    own: {
      algorithm: algorithm === 'hqq' ? 'hqq' : algorithm === 'rtn' ? 'rtn' : 'k_quant',
      scaleType: 'float32',
      mixedBits: false,
      blockSize: given['block_size'] as number,
      symmetric: given['is_symmetric'] === true,
      bits: (given['bits'] as number | undefined) ?? 4,
      accuracyLevel: given['accuracy_level'] as number | undefined,
      weightFormat: given['quant_format'] === 'QDQ' ? 'qdq' : 'nbits',
      // The reference tool leaves Gemm float.
      ops: (given['op_types_to_quantize'] as string[] | undefined) ?? ['MatMul'],
    },
    isPlain: /^(default\d?|qdq)-/.test(name),
  }
}

/** The bytes that hashes are of: one for each element of 4 bits. */
function unpacked(tensor: Tensor): Uint8Array {
  return tensor.dtype?.endsWith('int4') ? Uint8Array.from(tensor.toNumbers().map(Number)) : tensor.bytes()
}

const OPS = ['MatMul', 'Gather', 'DequantizeLinear', 'com.microsoft:MatMulNBits', 'com.microsoft:GatherBlockQuantized']

describe.skipIf(!hasShared)('the plain recipe gives what the reference tool gives, to the bit', () => {
  const names = globSync(['own/*.onnx'], { cwd: sharedDir })
    .map((file) => file.slice(4, -5))
    .filter((name) => existsSync(shared(`own/golden/${name}.json`)))
    .sort()
  test.each(names)('%s', async (name) => {
    for (const [setting, reference] of Object.entries(golden(name)['nbits'] ?? {})) {
      if (reference.error) continue
      const { own, isPlain } = optionsOf(setting, reference)
      const model = readModel(shared(`own/${name}.onnx`))
      await quantizeWeights(model, own)
      const ops = model.histogram()
      for (const op of OPS) expect.soft([setting, op, ops[op] ?? 0]).toEqual([setting, op, reference.ops[op] ?? 0])
      if (!isPlain) continue
      const constants = new Map(
        [...model.allGraphs()].flatMap(({ initializers }) =>
          [...initializers].map(({ name, tensor }) => [name, tensor]),
        ),
      )
      for (const [parameter, { shape, sha, values }] of Object.entries(reference.qparams)) {
        const tensor = constants.get(parameter) ?? constants.get(`${parameter}_float32`)
        expect.soft(tensor?.dims, `${setting} ${parameter}`).toEqual(shape)
        if (!tensor) continue
        // The numbers of small tensors were saved with seven digits, of the others a hash.
        if (values) {
          const off = tensor.toNumbers().findIndex((x, i) => Math.abs(x - values[i]!) > 1e-6 * Math.abs(x))
          expect.soft(off, `${setting} ${parameter}`).toBe(-1)
        } else if (sha)
          expect
            .soft(createHash('sha256').update(unpacked(tensor)).digest('hex').slice(0, 16), `${setting} ${parameter}`)
            .toBe(sha)
      }
    }
  })
})
