import { OnnxError } from '../../../onnx/errors.ts'
import type { ParamOutput } from '../../../params/spec.ts'
import type { Pass } from '../../pass.ts'
import { dataFiles, locate } from '../calibrate/data/files.ts'
import { moduleFiles } from '../calibrate/data/module-files.ts'
import { keepOutputTypes } from '../output-types.ts'
import { autoParams, FORMULAS, type Formula } from './params.ts'

export type AutoOptions = ParamOutput<typeof autoParams>

/** Devices that have kernels for integer products. */
const INTEGER_DEVICES = ['cpu', 'wasm']

/** What may be tried. Throws an `OnnxError` on names that are unknown or do not go with the device or the data. */
export function formulasOf({ formulas, calibration }: AutoOptions, device: string): Formula[] {
  const obstacle = (formula: Formula): string | undefined => {
    if (formula.startsWith('static') && !calibration) return 'it needs calibration data'
    if (!formula.endsWith('bit') && !INTEGER_DEVICES.includes(device)) return `${device} has no integer products`
    return undefined
  }
  if (!formulas?.length) return FORMULAS.filter((formula) => !obstacle(formula))
  for (const name of formulas) {
    if (!FORMULAS.includes(name as Formula))
      throw new OnnxError('OPTION_VALUE', `formulas: there is no "${name}"`, {
        hint: `Formulas are ${FORMULAS.join(', ')}.`,
      })
    const found = obstacle(name as Formula)
    if (found)
      throw new OnnxError('OPTION_CONFLICT', `formulas: "${name}" is not possible: ${found}`, {
        hint: 'Leave it out, or give what it needs.',
      })
  }
  return [...new Set(formulas as readonly Formula[])]
}

/** Quantization that keeps within a given loss: finds by trials how each weight is quantized, and which stay float. */
export const autoQuantization: Pass<typeof autoParams> = {
  name: 'quantize-auto',
  version: 4,
  doc: 'Finds out how far weights can be quantized for the loss to stay within `maxLoss`, by trying',
  params: autoParams,
  enabled: ({ quantize }) => quantize === 'auto',
  check(options, device) {
    if (!options.calibration && !options.evaluate)
      throw new OnnxError('OPTION_INVALID', 'quantize=auto needs something to measure the loss on', {
        hint: 'Give calibration (a file or folder of sample inputs), or evaluate (a module that scores a model).',
      })
    if (options.metric && options.evaluate)
      throw new OnnxError('OPTION_CONFLICT', 'metric and evaluate exclude each other', {
        hint: 'Give metric to compare outputs, or evaluate for a score of your own.',
      })
    if (options.algorithm === 'gptq' && !options.calibration)
      throw new OnnxError('OPTION_INVALID', 'algorithm=gptq needs calibration data', {
        hint: 'Give calibration, or leave algorithm out.',
      })
    formulasOf(options, device)
  },
  lossless: false,
  // Which kernels run decides what saturates, and so what is good enough.
  hardwareDependent: () => true,
  dependencies: ({ calibration, evaluate }, file) => [
    ...(calibration ? dataFiles(calibration, file) : []),
    ...(evaluate ? moduleFiles(locate(evaluate, file, 'evaluate')) : []),
  ],
  run: async (model, options, context) => {
    const { run } = await import('./run.ts')
    return keepOutputTypes(model, () => run(model, options, context))
  },
}
