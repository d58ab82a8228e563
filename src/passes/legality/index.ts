import type { ParamOutput } from '../../params/spec.ts'
import type { Pass } from '../pass.ts'
import { quantizeParams } from '../quantize/params.ts'

const own = {
  legality: {
    type: 'enum',
    doc: 'What to do about operators that the runtime does not have, and quantized ones that the device has no kernel for: stop the build, warn, or nothing',
    values: ['error', 'warn', 'off'],
    default: 'error',
  },
} as const

const params: typeof own & Pick<typeof quantizeParams, 'quantize'> = { ...own, quantize: quantizeParams.quantize }

export type LegalityOptions = ParamOutput<typeof params>

/** Checks that a model runs where it is built for. Changes nothing. */
export const legality: Pass<typeof params> = {
  name: 'legality',
  version: 3,
  doc: 'Checks that the runtime has the operators, and the device kernels for quantized ones',
  params,
  lossless: true,
  enabled: ({ legality }) => legality !== 'off',
  run: async (model, options, context) => (await import('./run.ts')).run(model, options, context),
}
