import type { Value } from '../../graph/value.ts'
import { Failure, integersFrom, integersOf, no, type Rule, rule, sameDim } from '../../rewrite/index.ts'

/** Operators that keep the order of elements. */
const RESHAPING = ['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze']

export const reshapeReshape: Rule = rule({
  name: 'reshape-reshape',
  doc: 'Reshape of Reshape, Flatten, Squeeze or Unsqueeze -> Reshape',
  match: ({ op, oneOf, any, constant, rest }) =>
    op.Reshape(oneOf(RESHAPING, any('x'), rest()).as('between').shared(), constant('shape')),
  check: ({ x, between, shape, node }) => {
    const sizes = integersOf(shape)
    if (!sizes) return no('is not a constant shape', shape)
    if (node.int('allowzero', 0)) return sizes.includes(0) ? no('has zero sizes', node) : { sizes }
    // A zero copies a size from the value in between, which is about to go.
    for (const [i, size] of sizes.entries()) {
      if (size !== 0 || sameDim(between.shape?.[i], x.shape?.[i])) continue
      const known = between.shape?.[i]
      if (typeof known !== 'number') return no(`has a dimension ${i} that the shape copies`, between)
      sizes[i] = known
    }
    return { sizes }
  },
  replace: ({ op, x, sizes, node }) => op.Reshape(x, sizes, Object.fromEntries(node.attributes)),
})

export const transposeTranspose: Rule = rule({
  name: 'transpose-transpose',
  doc: 'Transpose(Transpose(x)) -> Transpose(x), or x',
  match: ({ op, any }) => op.Transpose(op.Transpose(any('x')).as('between').shared()),
  check: ({ node, between, isReadOutside }) => {
    const [outer, inner] = [node.ints('perm'), between.producer!.ints('perm')]
    if (!outer || !inner) return no('reverses the dimensions of an unknown rank', outer ? between : node)
    const perm = outer.map((axis) => inner[axis]!)
    const isIdentity = perm.every((axis, i) => axis === i)
    return isIdentity || !isReadOutside(between) ? { perm, isIdentity } : no('is needed elsewhere', between)
  },
  replace: ({ op, x, perm, isIdentity }) => (isIdentity ? x : op.Transpose(x, { perm })),
})

export const unsqueezeUnsqueeze: Rule = rule({
  name: 'unsqueeze-unsqueeze',
  doc: 'Unsqueeze(Unsqueeze(x)) -> Unsqueeze(x)',
  match: ({ op, any, rest }) => op.Unsqueeze(op.Unsqueeze(any('x'), rest()).as('between'), rest()),
  check: ({ x, between, node }) => {
    const [outer, inner] = [integersFrom(node, 'axes', 1), integersFrom(between.producer!, 'axes', 1)]
    if (!outer || !inner) return no('has axes that are not constant', outer ? between : node)
    const needsRank = [...outer, ...inner].some((axis) => axis < 0)
    if (needsRank && x.rank === undefined) return no('has an unknown rank, but axes count from its end', x)
    const middle = (x.rank ?? 0) + inner.length
    const last = new Set(outer.map((axis) => (axis < 0 ? axis + middle + outer.length : axis)))
    const first = new Set(inner.map((axis) => (axis < 0 ? axis + middle : axis)))
    return { axes: joined(first, last) }
  },
  replace: ({ op, x, axes, opset }) => (opset < 13 ? op.Unsqueeze(x, { axes }) : op.Unsqueeze(x, axes)),
})

/** Axes of one Unsqueeze that does what two do: those of the first move up where the second inserts before them. */
function joined(first: ReadonlySet<number>, last: ReadonlySet<number>): number[] {
  const axes: number[] = []
  for (let at = 0, inner = 0; axes.length < first.size + last.size; at++) {
    if (last.has(at)) axes.push(at)
    else if (first.has(inner++)) axes.push(at)
  }
  return axes
}

export const sliceSlice: Rule = rule({
  name: 'slice-slice',
  doc: 'Slice(Slice(x)) of different axes -> Slice(x)',
  match: ({ op, any, rest }) => op.Slice(op.Slice(any('x'), rest()).as('between'), rest()),
  check: ({ x, between, node, opset }) => {
    if (opset < 10) return no('takes attributes in this opset', node)
    const [outer, inner] = [bounds(node.inputs, x.rank), bounds(between.producer!.inputs, x.rank)]
    if (outer instanceof Failure) return outer
    if (inner instanceof Failure) return inner
    if (inner.axes.some((axis) => outer.axes.includes(axis))) return no('slices an axis that was sliced before', node)
    const both = (key: keyof typeof inner): number[] => [...inner[key], ...outer[key]]
    return { starts: both('starts'), ends: both('ends'), axes: both('axes'), steps: both('steps') }
  },
  replace: ({ op, x, starts, ends, axes, steps }) => op.Slice(x, starts, ends, axes, steps),
})

interface Bounds {
  starts: number[]
  ends: number[]
  axes: number[]
  steps: number[]
}

/** The arguments of a Slice, axes counted from the front. */
function bounds([x, ...inputs]: readonly (Value | null)[], rank: number | undefined): Bounds | Failure {
  const lists = inputs.map((input) => (input ? integersOf(input) : undefined))
  if (inputs.some((input, i) => input && !lists[i]) || !lists[0] || !lists[1])
    return no('is sliced at computed places', x ?? undefined)
  const [starts, ends, axes = starts.map((_, i) => i), steps = starts.map(() => 1)] = lists as [
    number[],
    number[],
    number[]?,
    number[]?,
  ]
  if (rank === undefined && axes.some((axis) => axis < 0))
    return no('has an unknown rank, but axes count from its end', x ?? undefined)
  return { starts, ends, axes: axes.map((axis) => (axis < 0 ? axis + rank! : axis)), steps }
}
