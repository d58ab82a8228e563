import { existsSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { readModel } from '../../../../src/graph/import.ts'
import type { Value } from '../../../../src/graph/value.ts'
import { createOrtService } from '../../../../src/ort/service.ts'
import { openData } from '../../../../src/passes/quantize/calibrate/data/index.ts'
import { type CalibrateOptions, calibrate } from '../../../../src/passes/quantize/calibrate/index.ts'
import { golden } from '../../../support/golden.ts'
import { readTensors } from '../../../support/npz.ts'
import { hasShared, shared } from '../../../support/shared.ts'
import { jsonFile, optimizedBasic } from '../../../support/static.ts'

interface Reference {
  error?: string
  options: { model: string; method: string; feeds?: string; [key: string]: unknown }
  ranges: Record<string, [number, number]>
}

/** Every model that the reference tool was given calibration data for. */
const MODELS = [
  'digits-cnn',
  'digits-vit',
  'minilm',
  'tiny-bert',
  'tiny-bert-tf5',
  'tiny-clip-text',
  'tiny-gpt2',
  'tiny-gpt2-past',
  'tiny-llama',
  'tiny-llama-past',
  'tiny-lora',
  'tiny-t5-encoder',
  'tiny-unet',
  'tiny-vit',
]

/**
 * The reference's setting in options of this project. Undefined for entropy with more bins than quantized ones: there a quantized bin's
 * mass goes to filled bins only, in the reference to empty ones too, and its counts are cut to integers.
 */
function optionsOf({ method, extra_options: extra }: Reference['options']): CalibrateOptions | undefined {
  const own = (extra ?? {}) as Record<string, number | boolean | undefined>
  if (method === 'Entropy' && own['num_bins'] !== undefined) return undefined
  return {
    method: method.toLowerCase() as 'minmax',
    masks: false,
    threads: 2,
    bins: method === 'Entropy' ? 128 : 2048,
    quantizedBins: 128,
    percentile: (own['percentile'] as number | undefined) ?? 99.999,
    symmetric: (own['symmetric'] as boolean | undefined) ?? method === 'Percentile',
    movingAverage: own['moving_average'] === true,
    levels: 255,
  }
}

function dataOf(name: string, isOne: boolean): string {
  if (!name.startsWith('tiny')) return shared(`own/${name.split('-')[0]}-calib.npz`)
  const cases = isOne ? [''] : ['', '2', '3']
  const lines = cases.flatMap((number) => {
    const file = shared(`own/${name}-inputs${number}.npz`)
    if (!existsSync(file)) return []
    const sample = [...readTensors(file)].map(([input, tensor]) => [
      input,
      { dims: [...tensor.dims], data: tensor.toNumbers().map(Number) },
    ])
    return [JSON.stringify(Object.fromEntries(sample))]
  })
  return jsonFile('cases.jsonl', lines.join('\n'))
}

describe.skipIf(!hasShared)('the ranges of all tensors are those of the reference tool', () => {
  test.each(MODELS)('%s', { timeout: 120_000 }, async (name) => {
    const sections = golden(name) as unknown as Record<string, Record<string, Reference>>
    const prepared = (sections['quant_pre_process'] as unknown as { ops?: Record<string, number> } | undefined)?.ops
    let compared = 0
    const extra = sections['calib_extra'] ?? {}
    for (const [setting, reference] of Object.entries({ ...sections['calibration'], ...extra })) {
      const options = reference.error ? undefined : optionsOf(reference.options)
      if (!options) continue
      const file = shared(`own/${name}.onnx`)
      // Where its pre-processing failed the reference calibrated the model as it is.
      const isPrepared = reference.options.model === 'pre' && !prepared?.['Constant']
      const model = isPrepared ? await optimizedBasic(file) : readModel(file)
      await createOrtService().inferTypes(model)
      const values = [...model.graph.inputs, ...[...model.graph.nodes()].flatMap(({ outputs }) => outputs as Value[])]
      const wanted = values.filter((value) => value && reference.ranges[value.name] && !value.constant)
      // The numbers of the further settings are those of the first case, whatever is written beside them.
      const isOne = reference.options.feeds === 'first case only' || setting in extra
      const data = openData(model, { calibration: dataOf(name, isOne) })
      const { ranges, statistics } = await calibrate(model, wanted, data, options)
      for (const value of wanted) {
        // What is not finite is no part of a range; in the reference it makes all of it infinite, or nothing.
        if (statistics.get(value)!.infinite + statistics.get(value)!.nan > 0) continue
        const [min, max] = reference.ranges[value.name]!
        if (![min, max].every((edge) => Number.isFinite(edge) && Math.abs(edge) < 1e30)) continue
        const found = ranges.get(value)
        if (!found) continue
        // A bin may end on the other side of a value that is the last bit away from it.
        const bin = options.method === 'minmax' ? 0 : (2 * Math.max(Math.abs(min), Math.abs(max))) / options.bins
        const tolerance = 1e-5 * Math.max(1e-3, Math.abs(min), Math.abs(max)) + bin
        expect.soft(Math.abs(found.min - min), `${setting} ${value.name}`).toBeLessThanOrEqual(tolerance)
        expect.soft(Math.abs(found.max - max), `${setting} ${value.name}`).toBeLessThanOrEqual(tolerance)
        compared++
      }
    }
    expect(compared).toBeGreaterThan(30)
  })
})
