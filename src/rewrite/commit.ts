import type { Node } from '../graph/node.ts'
import { Value } from '../graph/value.ts'
import type { Builder } from './build.ts'
import { Failure } from './pattern.ts'
import type { Replace, Replacement, Rule } from './rule.ts'
import { moveUp, readerOutside, removeUnused } from './safety.ts'
import type { Search } from './search.ts'

/**
 * Carries out the rewrite of a complete match: asks the rule for its replacement, puts it in the place of what was matched and
 * removes what nothing reads any more. On failure, for which a reason is returned, what `builder` made is still to be undone.
 *
 * @throws what the rule throws, and where its replacement makes no sense
 */
export function commit(
  rule: Rule,
  search: Search,
  builder: Builder,
  tools: Replace & Record<string, unknown>,
): Failure | undefined {
  let replacement: Replacement
  try {
    replacement = rule.replace(tools as never)
  } catch (error) {
    if (error instanceof Failure) return error
    throw error
  }
  if (replacement instanceof Failure) return replacement
  const pairs = pairsOf(replacement, tools)
  if (pairs instanceof Failure) return pairs
  if (search.roots.some((root) => !pairs.has(root))) throw new Error('replace gave nothing for a root')
  for (const value of replaceable(search)) {
    const reader = pairs.has(value) ? undefined : readerOutside(value, search.nodes)
    if (reader) return reader
  }
  for (const [old, fresh] of pairs) {
    const misfit = typeMisfit(old, fresh)
    if (misfit) return misfit
  }
  const { created } = builder
  if (pairs.size > 1 && created.length) {
    // Values beyond the first root may be read above it.
    const outside = (value: Value): boolean => value.users.some((node) => !search.nodes.has(node))
    const failure = moveUp(
      created,
      [...pairs.keys()].filter((value) => search.roots.includes(value) || outside(value)),
      rule.lifts,
    )
    if (failure) return failure
  }
  const own = new Set(created)
  for (const [old, fresh] of pairs) take(old, fresh, own)
  removeUnused([...search.nodes.keys(), ...created])
  builder.dropUnusedConstants()
  return undefined
}

const isList = (replacement: Exclude<Replacement, Failure>): replacement is readonly (Value | null)[] =>
  Array.isArray(replacement)

/** Values that a replacement may provide, so that others may go on reading them. */
export function replaceable({ roots, replaced }: Search): Set<Value> {
  const values = new Set<Value>(replaced.keys())
  for (const root of roots) for (const output of root.producer!.outputs) if (output) values.add(output)
  return values
}

/** Which value takes which place. */
function pairsOf(
  replacement: Exclude<Replacement, Failure>,
  captures: Readonly<Record<string, unknown>>,
): Map<Value, Value> | Failure {
  if (replacement instanceof Value) return new Map([[captures['root'] as Value, replacement]])
  const pairs = new Map<Value, Value>()
  if (isList(replacement)) {
    const { outputs } = (captures['root'] as Value).producer!
    for (const [i, fresh] of replacement.entries()) if (fresh && outputs[i]) pairs.set(outputs[i], fresh)
    return pairs
  }
  for (const [name, fresh] of Object.entries(replacement)) {
    const old = captures[name]
    if (!(old instanceof Value)) throw new Error(`replace gave a value for "${name}", which is no capture`)
    pairs.set(old, fresh)
  }
  return pairs
}

function typeMisfit(old: Value, fresh: Value): Failure | undefined {
  if (old.dtype && fresh.dtype && old.dtype !== fresh.dtype)
    return new Failure(`is ${old.dtype}, but would become ${fresh.dtype}`, old)
  if (old.rank !== undefined && fresh.rank !== undefined && old.rank !== fresh.rank)
    return new Failure(`has rank ${old.rank}, but would get rank ${fresh.rank}`, old)
  return undefined
}

/** Puts `fresh` in the place of `old`. A new value takes over type and name, so that settings by tensor name still hold. */
function take(old: Value, fresh: Value, created: ReadonlySet<Node>): void {
  if (old === fresh) return
  const isNew = fresh.producer !== undefined && created.has(fresh.producer)
  if (isNew && old.type) fresh.type = old.type
  const wasOutput = old.isOutput
  const { isDeclared } = old
  old.graph.replace(old, fresh)
  if (!isNew) return
  if (!wasOutput) [old.name, fresh.name] = [fresh.name, old.name]
  if (isDeclared) old.graph.declare(fresh)
}
