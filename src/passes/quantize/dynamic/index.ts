import type { Pass } from '../../pass.ts'
import { quantizeParams } from '../params.ts'

/** Dynamic quantization: 8-bit weights, activations quantized at run time from their own range. */
export const dynamicQuantization: Pass<typeof quantizeParams> = {
  name: 'quantize-dynamic',
  version: 1,
  doc: 'Quantizes weights to 8 bits and multiplies in integers, with ranges of activations found at run time',
  params: quantizeParams,
  enabled: ({ quantize }) => quantize === 'dynamic',
  lossless: false,
  run: async (model, options, context) => (await import('./run.ts')).run(model, options, context),
}
