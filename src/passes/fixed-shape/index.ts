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
} as const

/** Gives dynamic dimensions fixed sizes: by input, or by the dimension's name wherever it occurs. */
export const fixedShape: Pass<typeof params> = {
  name: 'fixed-shape',
  version: 1,
  doc: 'Fixes dynamic dimensions, by input shape or by dimension name, and updates what follows from them',
  params,
  enabled: ({ shape, dim }) => !!shape || !!dim,
  check: (options) => void readArguments(options),
  lossless: true,
  run: async (model, options, context) => (await import('./run.ts')).run(model, options, context),
}
