import type { Node } from '../../../graph/node.ts'
import { type Failure, no } from '../../../rewrite/index.ts'
import { type Atom, type Axes, leavesOf, partition, sizeOf } from '../axes/atoms.ts'
import { type Stage, viewOf, viewWithOrigins } from '../axes/view.ts'
import { follow, headsOf, isSame, sharedHeads } from './roles.ts'
import type { Step } from './scores.ts'

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
