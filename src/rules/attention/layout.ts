import type { Node } from '../../graph/node.ts'
import type { Dim } from '../../graph/types.ts'
import { type Failure, no } from '../../rewrite/index.ts'
import { type Atom, type Axes, leavesOf, partition, sizeOf } from './atoms.ts'
import type { Step } from './scores.ts'
import { type Stage, viewOf, viewWithOrigins } from './view.ts'

/** Query, key and value as batch, heads, sequence and head size, each made of pieces of their axes. */
export interface Layout {
  query: Operand
  key: Operand
  value: Operand
  /** Pieces of the score matrix (those of the query, and the key's length). */
  batch: readonly Atom[]
  heads: readonly Atom[]
  length: readonly Atom[]
  total: readonly Atom[]
  /** Axes of the product of probabilities and value. */
  result: Axes
  /** Axes of the scores after each step. */
  steps: Axes[]
  numHeads: number
  headSize: number
  valueHeadSize: number
}

export interface Operand {
  stages: Stage[]
  batch: readonly Atom[]
  heads: readonly Atom[]
  length: readonly Atom[]
  size: readonly Atom[]
}

/** Finds out how heads lie in the operands of an attention. `product` is q·kᵀ, `weighted` is probabilities·v. */
export function layoutOf(product: Node, steps: readonly Step[], weighted: Node): Layout | Failure {
  const [q, k, v] = [product.input(0), product.input(1), weighted.input(1)]
  if (!q || !k || !v) return no('lacks an input', product)
  const whole = viewWithOrigins(q, { scaled: true })
  const views = [whole?.stages, viewOf(k, { scaled: true, repeated: true }), viewOf(v, { repeated: true })]
  const [query, key, value] = views
  if (!query || !key || !value) return no('has an operand of unknown rank', product)
  const [qAxes, kAxes, vAxes] = [query.at(-1)!.axes, key.at(-1)!.axes, value.at(-1)!.axes]
  if (qAxes.length < 3 || qAxes.length !== kAxes.length)
    return no(`multiplies ranks ${qAxes.length} and ${kAxes.length}`, product)
  const heads = new Set(headsOf([...whole!.origins, ...query]))
  const batchAxes = qAxes.slice(0, -2)
  const batch = leavesOf(...batchAxes).filter((atom) => !heads.has(atom))
  const own = leavesOf(...batchAxes).filter((atom) => heads.has(atom))
  const keyRoles = follow(kAxes.slice(0, -2), batchAxes, heads)
  if (!keyRoles) return no(`is not of one shape in query [${q.shape}] and key [${k.shape}]`, product)
  const total = leavesOf(kAxes.at(-1)!)
  // The axes of the scores, followed through the steps.
  let axes: Axes = [...batchAxes.map((axis) => leavesOf(axis)), leavesOf(qAxes.at(-2)!), total]
  const after: Axes[] = []
  for (const step of steps) {
    if (step.kind === 'reshape') {
      const next = partition(axes.flat(), step.to.shape!)
      if (!next) return no(`reshapes scores in a way that is not understood: to [${step.to.shape}]`, step.to)
      axes = next
    }
    after.push(axes)
  }
  const rank = axes.length
  if (rank < 3 || !isSame(leavesOf(axes[rank - 1]!), leavesOf(total)))
    return no('does not normalise over the keys', weighted)
  if (vAxes.length !== rank) return no(`multiplies ranks ${rank} and ${vAxes.length}`, weighted)
  const valueRoles = follow(vAxes.slice(0, -2), axes.slice(0, -2), heads)
  if (!valueRoles) return no(`is not of one shape in scores and value [${v.shape}]`, weighted)
  const shared = sharedHeads({ ...keyRoles, stages: key }, { ...valueRoles, stages: value })
  if (!shared) return no('has key and value heads that are shared in another way than one by neighbours', weighted)
  const headSizes = [qAxes.at(-1)!, kAxes.at(-2)!, vAxes.at(-1)!].map(sizeOf)
  const numHeads = sizeOf(own)
  const [headSize, keySize, valueHeadSize] = headSizes
  if (typeof numHeads !== 'number') return no(`has ${numHeads} heads, which is not known now`, product)
  if (typeof headSize !== 'number' || headSize !== keySize || typeof valueHeadSize !== 'number')
    return no(`has heads of sizes ${headSizes}`, product)
  const length = leavesOf(qAxes.at(-2)!)
  return {
    query: { stages: query, batch, heads: own, length, size: qAxes.at(-1)! },
    key: { stages: key, batch: keyRoles.batch, heads: shared.key, length: total, size: kAxes.at(-2)! },
    value: { stages: value, batch: valueRoles.batch, heads: shared.value, length: vAxes.at(-2)!, size: vAxes.at(-1)! },
    batch: leavesOf(batch),
    heads: leavesOf(own),
    length,
    total: leavesOf(total),
    result: [...axes.slice(0, -1), vAxes.at(-1)!],
    steps: after,
    numHeads,
    headSize,
    valueHeadSize,
  }
}

/**
 * Which pieces of a query's batch axes are heads: those that lay beside the head size in one axis before (the hidden size was
 * split), else the last batch axis of four or more, or what was an axis of its own beside batch and length before.
 */
function headsOf(query: readonly Stage[]): Atom[] {
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
interface Roles {
  batch: readonly Atom[]
  heads: readonly (Atom | undefined)[]
}

/** Cuts axes as others of the same sizes are cut, and tells batch from heads. */
function follow(axes: Axes, like: Axes, heads: ReadonlySet<Atom>): Roles | undefined {
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
function sharedHeads(
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
const isSame = (a: readonly Atom[], b: readonly Atom[]): boolean =>
  a.length === b.length && a.every((atom, i) => atom === b[i])
