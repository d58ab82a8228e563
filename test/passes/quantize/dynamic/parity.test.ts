import { existsSync } from 'node:fs'
import { globSync } from 'tinyglobby'
import { describe, expect, test } from 'vitest'
import { readModel } from '../../../../src/graph/import.ts'
import type { Model } from '../../../../src/graph/model.ts'
import type { DynamicOptions } from '../../../../src/passes/quantize/dynamic/tools.ts'
import { quantizeDynamic } from '../../../support/dynamic.ts'
import { type GoldenSetting, golden } from '../../../support/golden.ts'
import { hasShared, shared, sharedDir } from '../../../support/shared.ts'
import { optimizedBasic } from '../../../support/static.ts'

/** Initializers by name. */
function constants(model: Model): Map<string, number[]> {
  const found = new Map<string, number[]>()
  for (const graph of model.allGraphs())
    for (const { name, tensor } of graph.initializers)
      if (tensor && /_(scale|zero_point)$/.test(name)) found.set(name, tensor.toNumbers())
  return found
}

/** A weight that is a transposed copy of an embedding table is not stored again: its scales are the table's. */
function sharedTable(ours: Map<string, number[]>, values: readonly number[]): number[] {
  const close = (a: number | undefined, b: number) => a !== undefined && Math.abs(a - b) <= 1e-6 * Math.abs(b)
  return (
    [...ours.values()].find((list) =>
      values.every((value, i) => close(list.length === 1 ? list[0] : list[i], value)),
    ) ?? []
  )
}

const INTEGER_OPS = ['MatMulInteger', 'ConvInteger', 'DynamicQuantizeLinear', 'DequantizeLinear']

/**
 * Settings with `op_types_to_quantize: [MatMul]` quantize Gemms too in the reference tool, which turns them into MatMuls first: here
 * the user says both. Undefined where the reference quantized the output of another tool.
 */
function optionsOf({ options }: GoldenSetting): Partial<DynamicOptions> | undefined {
  if (options['input'] && options['input'] !== 'quant_pre_process') return undefined
  return {
    weightType: options.weight_type === 'QUInt8' ? 'uint8' : 'int8',
    perChannel: options.per_channel ?? false,
    reduceRange: options.reduce_range ?? false,
    smoothNorms: false,
    floatOutliers: false,
    ...(options['op_types_to_quantize'] ? { ops: ['MatMul', 'Gemm'] } : {}),
    ...(options.extra_options?.WeightSymmetric === false ? { weightSymmetric: false } : {}),
  }
}

/** The model that the reference quantized. Where its pre-processing failed, that is the model as it was. */
async function sourceOf(name: string, { options }: GoldenSetting): Promise<Model> {
  const file = shared(`own/${name}.onnx`)
  const prepared = golden(name)['quant_pre_process'] as unknown as { ops: Record<string, number> } | undefined
  return options['input'] && !prepared?.ops['Constant'] ? optimizedBasic(file) : readModel(file)
}

describe.skipIf(!hasShared)('the same recipe gives what the reference tool gives', () => {
  const names = globSync(['own/*.onnx'], { cwd: sharedDir })
    .map((file) => file.slice(4, -5))
    .filter((name) => existsSync(shared(`own/golden/${name}.json`)))
    .sort()
  test.each(names)('%s', async (name) => {
    const settings = golden(name)['dynamic']!
    for (const [setting, reference] of Object.entries(settings)) {
      const options = optionsOf(reference)
      if (!options) continue
      const model = await sourceOf(name, reference)
      await quantizeDynamic(model, options)
      // The reference tool fails on one model (digits-cnn-dynamo): there is nothing to compare with.
      if (reference.error) continue
      const ops = model.histogram()
      for (const op of INTEGER_OPS)
        expect.soft([setting, op, ops[op] ?? 0]).toEqual([setting, op, reference.ops[op] ?? 0])
      const ours = constants(model)
      for (const [parameter, { shape, values, first }] of Object.entries(reference.qparams)) {
        // With per-channel weights the reference tool still has one scale for Conv weights and for tables: here each channel has one.
        if (options.perChannel && shape.length === 0) continue
        const actual = ours.get(parameter) ?? sharedTable(ours, values ?? first ?? [])
        for (const [i, value] of (values ?? first ?? []).entries()) {
          const got = actual.length === 1 ? actual[0]! : actual[i]!
          const isClose = Math.abs(got - value) <= 1e-6 * Math.abs(value)
          expect.soft(isClose, `${setting} ${parameter}[${i}] is ${got}, not ${value}`).toBe(true)
        }
      }
    }
  })
})
