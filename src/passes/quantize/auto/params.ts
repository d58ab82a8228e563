import { quantizeParams } from '../params.ts'
import { staticParams } from '../static/params.ts'
import { weightParams } from '../weights/params.ts'

/** The ways in which a weight can be quantized, most compressed first. */
export const FORMULAS = ['4bit', 'static', 'static-mse', 'dynamic', '8bit'] as const
export type Formula = (typeof FORMULAS)[number]

const own = {
  maxLoss: {
    type: 'number',
    doc: 'With quantize=auto: what may be lost, `1%` or 0.01: 1 - cosine, noise over signal, or the part of the score of `evaluate`',
    min: 0,
    max: 1,
    default: 0.01,
  },
  metric: {
    type: 'enum',
    doc: 'With quantize=auto: how outputs on the calibration data are compared with those of the float model. Default: `cosine`',
    values: ['cosine', 'sqnr'],
  },
  evaluate: {
    type: 'string',
    doc: 'With quantize=auto: a module whose default export gets `{ run }` and returns a score, the higher the better; instead of `metric`',
    placeholder: 'path',
  },
  trials: {
    type: 'integer',
    doc: 'With quantize=auto: most quantized models that are tried',
    min: 1,
    default: 24,
  },
  formulas: {
    type: 'list',
    doc: 'With quantize=auto: ways to quantize, the preferred first: `4bit`, `static`, `static-mse`, `dynamic`, `8bit`. Default: those that the device and the data allow, in this order',
    placeholder: 'formula',
  },
} as const

/** Parameters of the search, and of every way to quantize. */
export const autoParams: typeof own & typeof quantizeParams & typeof staticParams & typeof weightParams = {
  ...quantizeParams,
  ...staticParams,
  ...weightParams,
  ...own,
}
