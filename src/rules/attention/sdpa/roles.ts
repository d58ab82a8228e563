import type { Dim } from '../../../graph/types.ts'
import { type Atom, type Axes, leavesOf, partition, sizeOf } from '../axes/atoms.ts'
import type { Stage } from '../axes/view.ts'

/**
 * Which pieces of a query's batch axes are heads: those that lay beside the head size in one axis before (the hidden size was
 * split), else the last batch axis of four or more, or what was an axis of its own beside batch and length before.
 */
export function headsOf(query: readonly Stage[]): Atom[] {
  const axes = query.at(-1)!.axes
  const size = leavesOf(axes.at(-1)!)
  const batch = new Set(leavesOf(...axes.slice(0, -2)))
  for (const stage of query) {
    const hidden = leavesOf(stage.axes.at(-1) ?? [])
    const before = hidden.slice(0, hidden.length - size.length)
    if (!isSame(hidden.slice(before.length), size)) continue
    const own = before.slice(before.findLastIndex((atom) => !batch.has(atom)) + 1)
    if (own.length) return own
  }
  for (const stage of [...query].reverse()) {
    const own = leavesOf(stage.axes.at(-3) ?? [])
    if (stage.axes.length > 3 && typeof sizeOf(own) === 'number' && own.every((atom) => batch.has(atom))) return own
  }
  if (axes.length > 3) return leavesOf(axes.at(-3)!)
  const length = leavesOf(axes.at(-2)!)
  for (const { axes: before } of query) {
    if (before.length !== 4 || !isSame(leavesOf(before[3]!), size)) continue
    const own = [1, 2].map((axis) => leavesOf(before[axis]!)).find((leaves) => !isSame(leaves, length))
    if (own?.length && own.every((atom) => batch.has(atom))) return own
  }
  return []
}

/** Pieces of batch axes, with none for heads that are left to broadcasting. */
export interface Roles {
  batch: readonly Atom[]
  heads: readonly (Atom | undefined)[]
}

/** Cuts axes as others of the same sizes are cut, and tells batch from heads. */
export function follow(axes: Axes, like: Axes, heads: ReadonlySet<Atom>): Roles | undefined {
  if (axes.length !== like.length) return undefined
  const found = { batch: [] as Atom[], heads: [] as (Atom | undefined)[] }
  for (const [i, axis] of axes.entries()) {
    const leaves = leavesOf(like[i]!)
    if (!axis.length && leaves.length && leaves.every((atom) => heads.has(atom))) {
      found.heads.push(...leaves.map(() => undefined))
      continue
    }
    const sizes: Dim[] = leaves.map(({ size }) => size)
    const parts = partition(axis, sizes)
    if (!parts || (!leaves.length && axis.length)) return undefined
    for (const [j, atom] of leaves.entries()) {
      ;(heads.has(atom) ? found.heads : found.batch).push(...leavesOf(parts[j]!))
    }
  }
  return found
}

/**
 * The heads that key and value have by themselves: fewer than the query where neighbours share one, by broadcasting or because it
 * is repeated for them.
 */
export function sharedHeads(
  ...operands: readonly [Roles & { stages: Stage[] }, Roles & { stages: Stage[] }]
): { key: readonly Atom[]; value: readonly Atom[] } | undefined {
  const [key, value] = operands.map(({ heads, stages }) => {
    const first = new Set(leavesOf(...stages[0]!.axes))
    const isOwn = heads.map((atom) => !!atom && first.has(atom))
    const count = isOwn.includes(false) ? isOwn.indexOf(false) : heads.length
    // In another order it is not neighbours that share.
    return heads.slice(0, isOwn.includes(true, count) ? heads.length : count)
  })
  if (isWhole(key!) && isWhole(value!) && sizeOf(key!) === sizeOf(value!)) return { key: key!, value: value! }
  // What is repeated for one of them alone stays so.
  const [all, others] = operands.map(({ heads }) => heads)
  return isWhole(all!) && isWhole(others!) ? { key: all!, value: others! } : undefined
}

const isWhole = (atoms: readonly (Atom | undefined)[]): atoms is readonly Atom[] => !atoms.includes(undefined)
export const isSame = (a: readonly Atom[], b: readonly Atom[]): boolean =>
  a.length === b.length && a.every((atom, i) => atom === b[i])
