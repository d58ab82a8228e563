import type { Node } from '../../graph/node.ts'
import { Tensor } from '../../graph/tensor.ts'
import type { Dim } from '../../graph/types.ts'
import { tensorType } from '../../graph/types.ts'
import type { Value } from '../../graph/value.ts'
import { type Build, integersOf, no, sameDim } from '../../rewrite/index.ts'
import { Atom, type Axes, axesOf, leavesOf, partition, sizeOf } from './atoms.ts'
import { uniformOf } from './numbers.ts'

/** A value on the way, with the pieces its axes are made of. `factor` is what it was multiplied with since the first stage. */
export interface Stage {
  readonly value: Value
  readonly axes: Axes
  readonly factor: number
}

const RESHAPES = new Set(['Reshape', 'Squeeze', 'Unsqueeze', 'Flatten'])
/** How many nodes a view may be made of. */
const LENGTH = 16

/** How far views go. */
export interface ViewOptions {
  /** Past multiplications with a number. */
  scaled?: boolean
  /** Past elements that are repeated along an axis, which gives the axis a piece that the stages before lack. */
  repeated?: boolean
}

/**
 * Follows a value up through the operators that only move its elements (Reshape, Transpose, ...): the same elements in other
 * layouts, oldest first, the value itself last.
 *
 * @returns undefined where the rank is unknown
 */
export function viewOf(value: Value, options: ViewOptions = {}): Stage[] | undefined {
  return viewWithOrigins(value, options)?.stages
}

/**
 * The same with what the elements were a part of before: `origins` are stages too, but of more elements. They tell of which pieces
 * axes are made.
 */
export function viewWithOrigins(
  value: Value,
  options: ViewOptions = {},
): { stages: Stage[]; origins: readonly Stage[] } | undefined {
  const nodes: { node: Node; output: Value }[] = []
  let at = value
  while (nodes.length < LENGTH) {
    const node = at.producer
    const source = node && node.graph === value.graph ? (sourceOf(node, options) ?? wholeOf(node)) : undefined
    if (!source?.shape) break
    nodes.unshift({ node: node!, output: at })
    at = source
  }
  if (!at.shape) return undefined
  let origins: Stage[] = []
  let stages: Stage[] = [{ value: at, axes: axesOf(at.shape), factor: 1 }]
  for (const { node, output } of nodes) {
    const stage = stages.at(-1)!
    if (!output.shape) return undefined
    const isPart = wholeOf(node) !== undefined
    const axes = (isPart ? pickedAxes : axesAfter)(node, stage.axes, output.shape)
    if (axes && !isPart) stages.push({ value: output, axes, factor: stage.factor * (factorOf(node) ?? 1) })
    else {
      origins = axes ? [...origins, ...stages] : []
      stages = [{ value: output, axes: axes ?? axesOf(output.shape), factor: 1 }]
    }
  }
  return { stages, origins }
}

/** What a node picks a part of. */
function wholeOf(node: Node): Value | undefined {
  return node.domain === '' && ['Split', 'Slice', 'Gather'].includes(node.opType) ? node.input(0) : undefined
}

/** Axes of a part: the axis along which it was picked has new pieces. */
function pickedAxes(node: Node, axes: Axes, shape: readonly Dim[]): Axes | undefined {
  const positive = (axis: number): number => (axis < 0 ? axis + axes.length : axis)
  if (node.is('Gather')) return node.input(1)?.rank === 0 ? axes.toSpliced(positive(node.int('axis', 0)), 1) : undefined
  const picked = node.is('Split') ? [node.int('axis', 0)] : (node.ints('axes') ?? integersOf(node.input(3)))
  if (picked?.length !== 1 || axes.length !== shape.length) return undefined
  const at = positive(picked[0]!)
  return axes.with(at, axesOf([shape[at]!])[0]!)
}

/** True for an operator that moves the elements of its first input and does nothing else. */
export function isMoving({ opType, domain }: Node): boolean {
  return domain === '' && (RESHAPES.has(opType) || opType === 'Transpose' || opType === 'Identity')
}

function sourceOf(node: Node, { scaled, repeated }: ViewOptions): Value | undefined {
  if (isMoving(node)) return node.input(0)
  if (node.domain !== '') return undefined
  if (repeated && (node.opType === 'Expand' || node.opType === 'Tile')) return repeatedBy(node)
  if (!scaled || factorOf(node) === undefined) return undefined
  const [a, b] = [node.input(0), node.input(1)]
  const source = uniformOf(b) === undefined ? b : a
  return source?.rank === node.output().rank ? source : undefined
}

/** What an Expand or Tile repeats along axes of one element. */
function repeatedBy(node: Node): Value | undefined {
  const [source, to] = [node.input(0), node.output().shape]
  const from = source?.shape
  const isRepeated = from?.length === to?.length && from?.every((dim, i) => dim === 1 || sameDim(dim, to![i]))
  return isRepeated ? source : undefined
}

/** What a Mul or Div multiplies its other operand with, if that is one number. */
export function factorOf(node: Node): number | undefined {
  if (node.is('Div')) {
    const divisor = uniformOf(node.input(1))
    return divisor === undefined ? undefined : 1 / divisor
  }
  return node.is('Mul') ? (uniformOf(node.input(1)) ?? uniformOf(node.input(0))) : undefined
}

/** Axes of the output of shape `shape` of an operator that moves elements, from those of its input. */
export function axesAfter(node: Node, axes: Axes, shape: readonly Dim[]): Axes | undefined {
  if (node.opType === 'Transpose') {
    const perm = node.ints('perm') ?? axes.map((_, i) => axes.length - 1 - i)
    return perm.map((axis) => axes[axis]!)
  }
  if (node.opType === 'Expand' || node.opType === 'Tile')
    return axes.map((axis, i) => (axis.length || shape[i] === 1 ? axis : [new Atom(shape[i]!)]))
  if (!RESHAPES.has(node.opType)) return axes
  const literal = node.opType === 'Reshape' && !node.int('allowzero') ? integersOf(node.input(1)) : undefined
  const sizes = literal?.map((size, i) => (size > 0 ? size : size === 0 && axes[i] ? sizeOf(axes[i]) : null))
  return (sizes && partition(axes.flat(), sizes)) ?? partition(axes.flat(), shape)
}

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
