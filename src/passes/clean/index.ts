import { optimizeParam } from '../params.ts'
import type { Pass } from '../pass.ts'

const params: { readonly optimize: typeof optimizeParam } = { optimize: optimizeParam }

/**
 * Makes a model smaller without changing what it computes: dead code, operators that do nothing, constants and computations
 * that occur twice, computations on constants.
 */
export const clean: Pass<typeof params> = {
  name: 'clean',
  version: 2,
  doc: 'Removes dead code, no-ops and duplicates; computes what is constant, as long as the model does not grow',
  params,
  enabled: ({ optimize }) => optimize !== 'none',
  lossless: true,
  run: async (model, options, context) => (await import('./run.ts')).run(model, options, context),
}
