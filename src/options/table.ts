import { foldCase } from '../params/case.ts'
import type { ParamTable } from '../params/spec.ts'
import { allPasses } from '../passes/index.ts'
import type { AnyPass } from '../passes/pass.ts'
import { choiceParams, generalParams, shapeParams } from './general.ts'

/**
 * One table of several: two may declare the same key only as the same spec object, and no two keys may differ in case
 * or separators alone.
 * @throws Error (a programming mistake, not a user's) naming the key
 */
export function mergeTables(tables: readonly ParamTable[]): ParamTable {
  const merged: Record<string, ParamTable[string]> = {}
  const folded = new Map<string, string>()
  for (const [key, spec] of tables.flatMap((table) => Object.entries(table))) {
    const same = folded.get(foldCase(key))
    if (same !== undefined && (same !== key || merged[same] !== spec))
      throw new Error(`parameters '${same}' and '${key}' are declared by different specs: share one object`)
    folded.set(foldCase(key), key)
    merged[key] = spec
  }
  return merged
}

/** Parameters of the given passes, in the passes' order. */
export function passTable(passes: readonly AnyPass[] = allPasses): ParamTable {
  return mergeTables(passes.map((pass) => pass.params))
}

/** What a target or a preset may set. */
export const targetTable: ParamTable = mergeTables([generalParams, passTable()])

/** What the top level of the plugin's options may set, besides its settings. */
export const pluginTable: ParamTable = mergeTables([shapeParams, targetTable])

/** What a query, the command line and `models` may set. */
export const fullTable: ParamTable = mergeTables([choiceParams, pluginTable])
