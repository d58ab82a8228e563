import type { ParamOutput, ParamTable } from '../params/spec.ts'
import type { Pass } from '../passes/pass.ts'
import type { ResolvedOptions } from './types.ts'

/** A pass that will run, with the values of its own parameters. Plain data but for `pass`. */
export interface PlannedPass {
  pass: Pass
  params: ParamOutput<ParamTable>
}

/** The parameters of one pass out of all parameters: own keys only, defaults filled in, unset ones left out. */
export function paramsOf(pass: Pass, options: ResolvedOptions): ParamOutput<ParamTable> {
  const params: Record<string, unknown> = {}
  for (const [key, spec] of Object.entries(pass.params)) {
    const value = options.params[key] ?? spec.default
    if (value !== undefined) params[key] = value
  }
  return params as ParamOutput<ParamTable>
}

/** The passes that these options ask for, in the order of the registry. */
export function planPasses(options: ResolvedOptions, passes: readonly Pass[]): PlannedPass[] {
  return passes
    .map((pass) => ({ pass, params: paramsOf(pass, options) }))
    .filter(({ pass, params }) => pass.enabled(params))
}
