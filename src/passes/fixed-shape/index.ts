import type { Pass } from '../pass.ts'
import { readArguments } from './arguments.ts'

const params = {
  shape: {
    type: 'map',
    doc: 'Fixed shapes of inputs, e.g. `input_ids:1x128`',
    placeholder: 'input:1x128',
  },
  dim: {
    type: 'map',
    doc: 'Sizes of named dynamic dimensions, e.g. `batch:1,sequence:128`; `sequence:64;128;512` builds a variant for each size, and the session takes the smallest that fits',
    placeholder: 'name:128',
  },
  inputName: {
    type: 'list',
    doc: 'Inputs to give fixed shapes, one of `input_shape` for each: the same as `shape` as two lists',
    placeholder: 'input',
  },
  inputShape: { type: 'list', doc: 'Shapes of the inputs of `input_name`', placeholder: '1x128' },
  dimParam: {
    type: 'list',
    doc: 'Names of dynamic dimensions, one of `dim_value` for each: the same as `dim` as two lists',
    placeholder: 'name',
  },
  dimValue: { type: 'list', doc: 'Sizes of the dimensions of `dim_param`', placeholder: '128' },
} as const

/** Gives dynamic dimensions fixed sizes: by input, or by the dimension's name wherever it occurs. */
export const fixedShape: Pass<typeof params> = {
  name: 'fixed-shape',
  version: 1,
  doc: 'Fixes dynamic dimensions, by input shape or by dimension name, and updates what follows from them',
  params,
  enabled: (options) => Object.values(options).some((value) => value !== undefined),
  check: (options) => void readArguments(options),
  lossless: true,
  run: async (model, options, context) => (await import('./run.ts')).run(model, options, context),
}
