import { Tensor } from '../../../graph/tensor.ts'
import { type Dim, tensorType } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import { type Build, no } from '../../../rewrite/index.ts'
import { joined, reshape, sizeAlong } from '../axes/arrange.ts'
import { type Atom, type Axes, leavesOf, sizeOf } from '../axes/atoms.ts'
import type { Layout } from '../sdpa/layout.ts'

/** What replacements build with. */
export type Tools = Build & { opset: number }

/** A mask over axes of the scores as [batch or 1, heads or 1, length or 1, total or 1]. */
export function arranged(build: Tools, given: Value, axes: Axes, layout: Layout): Value {
  const mask = withoutExpand(build, given)
  const { batch, heads, length, total } = layout
  const groups = [batch, heads, length, total].map((group) => leavesOf(group))
  const shape = mask.shape
  if (!shape || shape.length > axes.length) throw no('is a mask of unknown or higher rank than the scores', mask)
  const dims: Dim[] = [...axes.slice(shape.length).map(() => 1), ...shape]
  let value = mask
  if (shape.length < axes.length) {
    const missing = axes.slice(shape.length).map((_, at) => at)
    value = build.opset < 13 ? build.op.Unsqueeze(mask, { axes: missing }) : build.op.Unsqueeze(mask, missing)
  }
  value.type = tensorType(mask.dtype, dims)
  const stage = axes.map((axis) => leavesOf(axis))
  if (stage.length === 4 && stage.every((axis, i) => isSame(axis, groups[i]!))) return value
  const isFull = new Map<Atom, boolean>()
  for (const [i, axis] of stage.entries()) for (const atom of axis) isFull.set(atom, dims[i] !== 1)
  // An axis that stays whole keeps the name that the mask has for it.
  const own = new Map(stage.flatMap((axis, i) => (axis.length === 1 ? [[axis[0]!, dims[i]!]] : [])))
  const size = (atom: Atom): Dim => (isFull.get(atom) ? (own.get(atom) ?? atom.size) : 1)
  const order = groups.flat()
  if (!isSame(stage.flat(), order)) throw no('is added to scores whose axes are in another order', mask)
  if (stage.some((axis) => axis.length !== 1)) value = reshape(build, value, order.map(size))
  const sizes = order.map((): number | Value => 1)
  for (const group of groups) {
    const open = group.filter((atom) => !isFull.get(atom))
    if (!open.length || open.length === group.length) continue
    // Part of an axis is broadcast: what the rest of it leaves must be filled before they become one axis.
    if (open.length > 1) throw no('is broadcast in several parts of one axis', mask)
    const own = group.filter((atom) => isFull.get(atom)).map((atom) => sizeAlong(build, value, order.indexOf(atom)))
    sizes[order.indexOf(open[0]!)] = quotient(build, sizeOfGroup(build, layout, group), own)
    isFull.set(open[0]!, true)
  }
  if (sizes.some((size) => size !== 1)) {
    value = build.op.Expand(value, joined(build, sizes))
    value.type = tensorType(
      mask.dtype,
      order.map((atom) => (isFull.get(atom) ? atom.size : 1)),
    )
  }
  return reshape(
    build,
    value,
    groups.map((group) => {
      const full = group.filter((atom) => isFull.get(atom))
      return full.length === 1 && group.length === 1 ? size(full[0]!) : full.length ? sizeOf(group) : 1
    }),
  )
}

/** The size of several pieces together when the model runs: that of an axis of the query. */
function sizeOfGroup(build: Build, { query }: Layout, group: readonly Atom[]): number | Value {
  const known = sizeOf(group)
  if (typeof known === 'number') return known
  for (const { value, axes } of query.stages)
    for (const [i, axis] of axes.entries()) if (isSame(leavesOf(axis), group)) return sizeAlong(build, value, i)
  throw no(`has a size ${sizeOf(group)} that can't be computed`, query.stages.at(-1)!.value)
}

function quotient(build: Build, whole: number | Value, parts: readonly (number | Value)[]): number | Value {
  const as = (size: number | Value): Value =>
    typeof size === 'number' ? build.constant(Tensor.int64([size]), 'size') : size
  return parts.reduce<number | Value>(
    (rest, part) =>
      typeof rest === 'number' && typeof part === 'number' ? rest / part : build.op.Div(as(rest), as(part)),
    whole,
  )
}

/** The mask before any Expand: it is broadcast anyway. */
function withoutExpand(build: Build, mask: Value): Value {
  const node = mask.producer
  const source = node?.input(0)
  if (!source?.shape) return mask
  if (node!.is('Expand')) return withoutExpand(build, source)
  if (!node!.is('Cast')) return mask
  const inner = withoutExpand(build, source)
  if (inner === source || inner.dtype === mask.dtype) return inner === source ? mask : inner
  return build.op.Cast(inner, { to: node!.int('to', 1) })
}

const isSame = (a: readonly Atom[], b: readonly Atom[]): boolean =>
  a.length === b.length && a.every((atom, i) => atom === b[i])
