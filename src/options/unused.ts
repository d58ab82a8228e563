import type { ParamSpec } from '../params/spec.ts'
import { orList } from '../params/value.ts'
import { allPasses } from '../passes/index.ts'
import type { AnyOptions, AnyPass } from '../passes/pass.ts'
import { passTable } from './table.ts'

/**
 * Which of the parameters that an import sets itself nothing in its build reads: those of passes that do not run. What says whether a
 * pass runs (`quantize=none`, `verify=false`) has an effect by that.
 */
export function unusedParams(
  asked: readonly string[],
  params: AnyOptions,
  passes: readonly AnyPass[] = allPasses,
): string[] {
  const table = passTable(passes)
  const read = new Set(enabled(params, passes).flatMap((pass) => Object.keys(pass.params)))
  return asked.filter((key) => {
    const spec = Object.hasOwn(table, key) ? table[key]! : undefined
    return spec && !read.has(key) && !selects(key, spec, params, passes)
  })
}

/** The passes that have a parameter, in words. */
export function ownersOf(key: string, passes: readonly AnyPass[] = allPasses): string {
  return orList(passes.filter((pass) => Object.hasOwn(pass.params, key)).map(({ name }) => name))
}

/** True if some value of the parameter makes other passes run. */
function selects(key: string, spec: ParamSpec, params: AnyOptions, passes: readonly AnyPass[]): boolean {
  const values = spec.values ?? (spec.type === 'boolean' ? [true, false] : [params[key], undefined])
  const chosen = values.map((value) => enabled({ ...params, [key]: value ?? spec.default }, passes))
  return chosen.some((some) => some.length !== chosen[0]!.length || some.some((pass, i) => pass !== chosen[0]![i]))
}

function enabled(params: AnyOptions, passes: readonly AnyPass[]): readonly AnyPass[] {
  return passes.filter((pass) => pass.enabled(params))
}
