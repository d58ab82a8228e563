import { OnnxError } from '../../../onnx/errors.ts'
import type { Pass } from '../../pass.ts'
import { keepOutputTypes } from '../output-types.ts'
import { quantizeParams } from '../params.ts'
import type { DynamicOptions } from './tools.ts'

/** Dynamic quantization: 8-bit weights, activations quantized at run time from their own range. */
export const dynamicQuantization: Pass<typeof quantizeParams> = {
  name: 'quantize-dynamic',
  version: 4,
  doc: 'Quantizes weights to 8 bits and multiplies in integers, with ranges of activations found at run time',
  params: quantizeParams,
  enabled: ({ quantize }) => quantize === 'dynamic',
  check: ({ weightType }) => {
    if (weightType && !weightType.endsWith('int8'))
      throw new OnnxError('OPTION_INVALID', `dynamic quantization has no ${weightType} weights`, {
        hint: 'Use int8 or uint8, quantize=static, or quantize=weights.',
      })
  },
  lossless: false,
  run: async (model, options, context) => {
    const { run } = await import('./run.ts')
    const result = await keepOutputTypes(model, () => run(model, options as DynamicOptions, context))
    ;(await import('../already.ts')).noteIfFloat(model, context.note)
    return result
  },
}
