import type { Node } from '../../../graph/node.ts'
import type { Dim } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import { integersOf, sameShape } from '../../../rewrite/index.ts'
import { uniformOf } from '../sdpa/numbers.ts'

/** One channel of a value: where it lies on the last axes (one or more), for every position on the axes before. */
export interface Channel {
  value: Value
  at: readonly number[]
}

/**
 * Where a channel comes from, through one operator that only moves channels about (Slice, Split, Concat, Reshape of the last axes,
 * ...). Axes before the last ones stay as they are.
 *
 * @param moves also where positions come to lie elsewhere: right for telling whether two channels are the same
 * @returns undefined where the operator does something else
 */
export function sourceOf({ value, at }: Channel, moves = false): Channel | undefined {
  const node = value.producer
  const input = node?.input(0)
  if (node?.domain !== '' || !input?.shape || !value.shape) return undefined
  const rank = value.shape.length
  const first = rank - at.length
  switch (node.opType) {
    case 'Identity':
      return { value: input, at }
    case 'Cast':
      return input.isFloat && value.isFloat ? { value: input, at } : undefined
    case 'Reshape':
    case 'Squeeze':
    case 'Unsqueeze':
    case 'Flatten':
      return reshaped(input, value.shape, at, moves)
    case 'Transpose':
      return moves && keepsLast(node, rank, first) ? { value: input, at } : undefined
    case 'Expand':
    case 'Tile':
      return repeated(input, value.shape, at)
    case 'Concat': {
      const axis = node.int('axis', 0)
      return concatenated(node, (axis < 0 ? axis + rank : axis) - first, at)
    }
    case 'Split':
      return parted(node, value, first, at)
    case 'Slice':
      return sliced(node, input, first, at, moves)
    case 'Gather':
      return gathered(node, input, rank, at)
    default:
      return undefined
  }
}

function reshaped(input: Value, to: readonly Dim[], at: readonly number[], moves: boolean): Channel | undefined {
  const from = input.shape!
  // As few last axes as possible that hold the same elements on both sides, those asked for among them.
  for (let outer = at.length; outer <= to.length; outer++) {
    const wanted = product(to.slice(-outer))
    // Axes before those asked for are part of it only where they are of one element.
    if (wanted === undefined || to.slice(-outer, to.length - at.length).some((dim) => dim !== 1)) return undefined
    for (let inner = 1; inner <= from.length; inner++) {
      const sizes = from.slice(-inner)
      if (product(sizes) !== wanted) continue
      const [before, after] = [from.slice(0, -inner), to.slice(0, -outer)]
      if (!moves && !sameShape(before, after)) continue
      let flat = at.reduce((index, own, i) => index * (to.at(i - at.length) as number) + own, 0)
      const found: number[] = []
      for (const size of sizes.toReversed() as number[]) {
        found.unshift(flat % size)
        flat = Math.floor(flat / size)
      }
      return { value: input, at: found }
    }
  }
  return undefined
}

function keepsLast(node: Node, rank: number, first: number): boolean {
  const perm = node.ints('perm')
  return perm?.every((axis, i) => i < first || axis === i) === true && perm.length === rank
}

/** How many elements axes of fixed size have together. */
function product(dims: readonly Dim[]): number | undefined {
  return dims.every((dim) => typeof dim === 'number')
    ? dims.reduce<number>((all, dim) => all * (dim as number), 1)
    : undefined
}

/** The last axes of one element are repeated; those before may be as well, which does not change what a channel is. */
function repeated(input: Value, to: readonly Dim[], at: readonly number[]): Channel | undefined {
  const from = input.shape!
  if (from.length !== to.length) return undefined
  const first = to.length - at.length
  const isFixed = from.slice(first).every((dim, i) => typeof dim === 'number' && (dim === 1 || dim === to[first + i]))
  return isFixed ? { value: input, at: at.map((index, i) => (from[first + i] === 1 ? 0 : index)) } : undefined
}

function concatenated(node: Node, axis: number, at: readonly number[]): Channel | undefined {
  if (axis < 0) return undefined
  let before = 0
  for (const value of node.inputs) {
    const size = value?.shape?.at(axis - at.length)
    if (!value || typeof size !== 'number') return undefined
    if (at[axis]! < before + size) return { value, at: at.with(axis, at[axis]! - before) }
    before += size
  }
  return undefined
}

function parted(node: Node, value: Value, first: number, at: readonly number[]): Channel | undefined {
  const axis = node.int('axis', 0)
  const own = (axis < 0 ? axis + first + at.length : axis) - first
  if (own < 0) return undefined
  let before = 0
  for (const output of node.outputs.slice(0, value.outputIndex)) {
    const size = output?.shape?.at(own - at.length)
    if (typeof size !== 'number') return undefined
    before += size
  }
  return { value: node.input(0)!, at: at.with(own, at[own]! + before) }
}

function sliced(node: Node, input: Value, first: number, at: readonly number[], moves: boolean): Channel | undefined {
  const numbers = (name: string, index: number): number[] | undefined => {
    const list = node.ints(name) ?? integersOf(node.input(index))
    if (list) return [...list]
    const uniform = uniformOf(node.input(index))
    return uniform === undefined ? undefined : [uniform]
  }
  const starts = numbers('starts', 1)
  const rank = first + at.length
  const isGiven = node.input(3) !== undefined || node.attributes.has('axes')
  const axes = isGiven ? numbers('axes', 3) : starts?.map((_, i) => i)
  const steps = node.input(4) ? numbers('steps', 4) : axes?.map(() => 1)
  if (!axes || !steps) return undefined
  let found = [...at]
  for (const [i, axis] of axes.entries()) {
    const own = (axis < 0 ? axis + rank : axis) - first
    if (own < 0 && moves) continue
    // Positions that are left out are not the same positions.
    if (own < 0) return undefined
    const size = input.shape![first + own]
    const [start, step] = [starts?.[i], steps[i]]
    if (start === undefined || step === undefined || step < 1 || typeof size !== 'number') return undefined
    found = found.with(own, Math.min(start < 0 ? start + size : start, size) + found[own]! * step)
  }
  return { value: input, at: found }
}

function gathered(node: Node, input: Value, rank: number, at: readonly number[]): Channel | undefined {
  const indices = node.input(1)
  const list = integersOf(indices)
  const axis = node.int('axis', 0) < 0 ? node.int('axis', 0) + input.rank! : node.int('axis', 0)
  const size = input.shape![axis]
  if (!list || !indices || typeof size !== 'number' || (indices.rank ?? 2) > 1) return undefined
  const own = axis - (rank - at.length)
  const index = (i: number): number => (list[i]! < 0 ? list[i]! + size : list[i]!)
  if (indices.rank === 1) return own < 0 ? undefined : { value: input, at: at.with(own, index(at[own]!)) }
  // One index: the axis was there before. What lies behind it must be channels, else positions would be mistaken for them.
  return own < 0 || own > at.length ? undefined : { value: input, at: at.toSpliced(own, 0, index(0)) }
}
