import { enabledPasses } from '../options/index.ts'
import { allPasses } from '../passes/index.ts'
import type { AnyOptions, AnyPass } from '../passes/pass.ts'
import type { ResolvedOptions } from './types.ts'

/** What a build will do. */
export interface Plan {
  /** The options with the defaults of all passes filled in. */
  options: ResolvedOptions
  /** The passes that run, in the order of the registry, with the values of their own parameters. */
  steps: readonly { pass: AnyPass; params: AnyOptions }[]
}

/** Finds out which passes these options ask for. */
export function planBuild(options: ResolvedOptions, passes: readonly AnyPass[]): Plan {
  const own = new Map(passes.map((pass) => [pass, paramsOf(pass, options.params)]))
  const filled = { ...options, params: Object.assign({}, options.params, ...own.values()) }
  const steps = enabledPasses(filled, passes).map((pass) => ({ pass, params: own.get(pass)! }))
  return { options: filled, steps }
}

/** Files besides the model that the passes of these options read, whether they are there or not. */
export async function dependenciesOf(params: AnyOptions, file: string): Promise<string[]> {
  const { steps } = planBuild({ device: 'cpu', params }, allPasses)
  const files = await Promise.all(steps.map(({ pass, params: own }) => pass.dependencies?.(own, file) ?? []))
  return files.flat()
}

/** The parameters of one pass out of all: own keys only, defaults filled in, unset ones left out. */
function paramsOf(pass: AnyPass, all: AnyOptions): Record<string, unknown> {
  const params: Record<string, unknown> = {}
  for (const [key, spec] of Object.entries(pass.params)) {
    const value = all[key] ?? spec.default
    if (value !== undefined) params[key] = value
  }
  return params
}
