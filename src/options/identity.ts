import { allPasses } from '../passes/index.ts'
import type { AnyPass } from '../passes/pass.ts'
import type { ResolvedOptions } from './types.ts'

/** The part of the options that decides the bytes of the result. */
export interface CacheIdentity {
  device: string
  /** The passes that run, in order, each with its own parameters, sorted by key. */
  passes: { name: string; version: number; params: Record<string, unknown> }[]
}

/** The passes that these options ask for, in the order in which they run. */
export function enabledPasses(options: ResolvedOptions, passes: readonly AnyPass[] = allPasses): readonly AnyPass[] {
  return passes.filter((pass) => pass.enabled(options.params))
}

/**
 * What two builds of one model must share to give the same bytes: parameters of the passes that run, without those
 * that only change the presentation. Plain JSON, with keys in a fixed order.
 */
export function cacheOptions(options: ResolvedOptions, passes: readonly AnyPass[] = allPasses): CacheIdentity {
  return {
    device: options.device,
    passes: enabledPasses(options, passes).map((pass) => ({
      name: pass.name,
      version: pass.version,
      params: Object.fromEntries(
        Object.keys(pass.params)
          .filter((key) => !pass.params[key]!.presentation && options.params[key] !== undefined)
          .sort()
          .map((key) => [key, sorted(options.params[key])]),
      ),
    })),
  }
}

/** Maps with their keys in order: `a:1,b:2` and `b:2,a:1` are the same. */
function sorted(value: unknown): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}
