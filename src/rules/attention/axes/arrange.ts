import { Tensor } from '../../../graph/tensor.ts'
import { type Dim, tensorType } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import { type Build, no } from '../../../rewrite/index.ts'
import { type Atom, type Axes, leavesOf, sizeOf } from './atoms.ts'
import type { Stage } from './view.ts'

interface Plan {
  stage: Stage
  /** Sizes before the Transpose, where pieces must be set free. */
  cut?: Dim[]
  perm?: number[]
  /** Axes before it. */
  free?: Axes
  isReshaped: boolean
  cost: number
}

/** From which stage, and with how many nodes, the elements are best laid out in these axes, and whether they move. */
export function planOf(stages: readonly Stage[], wanted: Axes): { from: number; nodes: number; moves: boolean } {
  const { stage, cost, perm } = best(stages, wanted)
  return { from: stages.indexOf(stage), nodes: cost, moves: perm !== undefined }
}

/** Lays out elements in axes made of these pieces, starting from the stage that needs the fewest nodes. */
export function arrange(build: Build, stages: readonly Stage[], wanted: Axes): Value {
  const { stage, cut, perm, free, isReshaped } = best(stages, wanted)
  let { value } = stage
  if (cut) value = reshape(build, value, cut)
  if (perm) {
    const sizes = sizesOf({ ...stage, value, axes: free! }, free!)
    value = build.op.Transpose(value, { perm })
    value.type = tensorType(
      value.dtype,
      perm.map((axis) => sizes[axis]!),
    )
  }
  if (isReshaped) value = reshape(build, value, sizesOf(stage, wanted))
  return value
}

/** Sizes of axes; those that are axes of the value already are what they are there, which may be a number where the pieces have names. */
function sizesOf({ value, axes }: Stage, wanted: Axes): Dim[] {
  return wanted.map((axis) => {
    const at = axes.findIndex((own) => isSame(leavesOf(own), leavesOf(axis)))
    const size = value.shape?.[at]
    return typeof size === 'number' ? size : sizeOf(axis)
  })
}

function best(stages: readonly Stage[], wanted: Axes): Plan {
  const count = leavesOf(...wanted).length
  // Stages before elements were repeated lack a piece.
  const plans = stages.filter(({ axes }) => leavesOf(...axes).length === count).map((stage) => planFrom(stage, wanted))
  return plans.reduce((least, plan) => (plan.cost < least.cost ? plan : least))
}

function planFrom(stage: Stage, wanted: Axes): Plan {
  const axes = stage.axes.map((axis) => leavesOf(axis))
  const goal = wanted.map((axis) => leavesOf(axis))
  if (isSame(axes.flat(), goal.flat())) {
    const isReshaped = !sameAxes(axes, goal)
    return { stage, isReshaped, cost: isReshaped ? 1 : 0 }
  }
  // An axis whose pieces stay side by side moves as a whole.
  const stays = (axis: readonly Atom[]): boolean =>
    goal.some((own) => isSame(own.slice(own.indexOf(axis[0]!)).slice(0, axis.length), axis))
  const isCut = axes.some((axis) => axis.length > 1 && !stays(axis))
  const free = isCut ? axes.flatMap((axis) => (stays(axis) ? [axis] : axis.map((atom) => [atom]))) : axes
  const perm = permutation(free, goal)
  const isReshaped = !sameAxes(
    perm.map((axis) => free[axis]!),
    goal,
  )
  const cost = (isCut ? 1 : 0) + 1 + (isReshaped ? 1 : 0)
  return { stage, perm, free, isReshaped, cost, ...(isCut ? { cut: free.map(sizeOf) } : {}) }
}

/** The order of `free` axes that gives the pieces the order of `goal`; those of one element go where they fit. */
function permutation(free: Axes, goal: Axes): number[] {
  const empty = free.flatMap((axis, i) => (axis.length ? [] : [i]))
  const perm = goal.flatMap((axis) => {
    if (!axis.length) return empty.length ? [empty.shift()!] : []
    return axis.map((atom) => free.findIndex(([first]) => first === atom)).filter((at) => at >= 0)
  })
  return [...perm, ...empty]
}

const isSame = (a: readonly Atom[], b: readonly Atom[]): boolean =>
  a.length === b.length && a.every((atom, i) => atom === b[i])
const sameAxes = (a: Axes, b: Axes): boolean => a.length === b.length && a.every((axis, i) => isSame(axis, b[i]!))

/**
 * A Reshape. Sizes that are neither known nor stand where they stood before are computed, one may be left over.
 */
export function reshape(build: Build, value: Value, sizes: readonly Dim[]): Value {
  const from = value.shape ?? []
  const isKnown = (size: Dim, i: number): boolean => typeof size === 'number' || (size !== null && size === from[i])
  const open = sizes.flatMap((size, i) => (isKnown(size, i) ? [] : [i]))
  // The one that is left over is the one that no axis has as it is.
  const last = open.find((i) => sizes[i] === null || !from.includes(sizes[i]!)) ?? open[0]
  const computed = open.filter((i) => i !== last)
  const lost = computed.find((i) => sizes[i] === null || !from.includes(sizes[i]!))
  if (lost !== undefined) throw no(`can't be reshaped to [${sizes}]: ${sizes[lost]} can't be computed`, value)
  const shape = sizes.map((size, i) => (i === last ? -1 : typeof size === 'number' ? size : 0))
  const target = computed.length
    ? joined(
        build,
        shape.map((size, i) => (computed.includes(i) ? sizeAlong(build, value, from.indexOf(sizes[i]!)) : size)),
      )
    : shape
  const result = build.op.Reshape(value, target)
  result.type = tensorType(value.dtype, sizes)
  return result
}

/** A 1-D integer constant or computed value from sizes. */
export function joined(build: Build, sizes: readonly (number | Value)[]): Value {
  if (sizes.every((size) => typeof size === 'number')) return build.constant(Tensor.int64(sizes as number[]), 'sizes')
  const parts = sizes.map((size) => (typeof size === 'number' ? build.constant(Tensor.int64([size]), 'size') : size))
  return build.create({ op: 'Concat', inputs: parts, attributes: { axis: 0 } })[0]!
}

/** The size of a value along an axis, as a 1-D integer value. */
export function sizeAlong(build: Build, value: Value, axis: number): number | Value {
  const size = value.shape?.[axis]
  return typeof size === 'number' ? size : build.op.Gather(build.op.Shape(value), [axis])
}
