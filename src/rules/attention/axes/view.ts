import type { Node } from '../../../graph/node.ts'
import type { Dim } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import { integersOf, sameDim } from '../../../rewrite/index.ts'
import { uniformOf } from '../sdpa/numbers.ts'
import { Atom, type Axes, axesOf, partition, sizeOf } from './atoms.ts'

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
