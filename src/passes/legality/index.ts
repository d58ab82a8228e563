import type { ParamOutput } from '../../params/spec.ts'
import type { Pass } from '../pass.ts'
import { quantizeParams } from '../quantize/params.ts'

const own = {
  legality: {
    type: 'enum',
    doc: 'What to do about quantized operators that the device has no kernel for: stop the build, warn, or nothing',
    values: ['error', 'warn', 'off'],
    default: 'error',
  },
} as const

const params: typeof own & Pick<typeof quantizeParams, 'quantize'> = { ...own, quantize: quantizeParams.quantize }

export type LegalityOptions = ParamOutput<typeof params>

/** Checks that a quantized model runs where it is built for. Changes nothing. */
export const legality: Pass<typeof params> = {
  name: 'legality',
  version: 2,
  doc: 'Checks that the device has kernels for quantized operators',
  params,
  lossless: true,
  enabled: ({ legality, quantize }) => legality !== 'off' && quantize !== 'none',
  run: async (model, options, context) => (await import('./run.ts')).run(model, options, context),
}
