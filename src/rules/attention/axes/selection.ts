import type { Node } from '../../../graph/node.ts'
import type { Value } from '../../../graph/value.ts'
import { integersOf } from '../../../rewrite/index.ts'
import { Atom, type Axes, leavesOf, sizeOf } from './atoms.ts'

/**
 * Which columns of a packed projection a value holds: follows the axis of the columns through Reshapes and Transposes that cut it
 * into pieces, and through what picks a part of a piece.
 */
export class Selection {
  /** Operators that pick parts. */
  static readonly OPERATORS: ReadonlySet<string> = new Set(['Split', 'Slice', 'Gather'])

  /** All columns. */
  readonly whole: Atom
  /** What was picked of a piece: from where on, and the piece that goes on (none where it was one place). */
  readonly #picks = new Map<Atom, { from: number; part: Atom | undefined }>()

  constructor(columns: number) {
    this.whole = new Atom(columns)
  }

  /** The pieces of the columns that are left. */
  get leaves(): Atom[] {
    const left = (atom: Atom): Atom[] =>
      leavesOf([atom]).flatMap((leaf) => {
        const pick = this.#picks.get(leaf)
        return pick ? (pick.part ? left(pick.part) : []) : [leaf]
      })
    return left(this.whole)
  }

  /** The axes of what a node picks; undefined where that is more than a range of columns. */
  through(node: Node, output: Value, axes: Axes): Axes | undefined {
    const range = rangeOf(node, output, axes.length)
    const axis = range && axes[range.axis]
    const picked = axis && this.#narrow(leavesOf(axis), range.from, range.length)
    if (!picked) return undefined
    return node.is('Gather') ? axes.toSpliced(range.axis, 1) : axes.with(range.axis, picked)
  }

  #narrow(leaves: readonly Atom[], from: number, length: number): readonly Atom[] | undefined {
    const size = sizeOf(leaves)
    if (from === 0 && length === size) return leaves
    const [outer, ...rest] = leaves
    if (!outer || !this.leaves.includes(outer)) return undefined
    const inner = sizeOf(rest)
    if (typeof inner !== 'number') return undefined
    if (from % inner === 0 && length % inner === 0) return [...this.#pick(outer, from / inner, length / inner), ...rest]
    const at = Math.floor(from / inner)
    if (at !== Math.floor((from + length - 1) / inner)) return undefined
    this.#pick(outer, at, 1)
    return this.#narrow(rest, from % inner, length)
  }

  #pick(atom: Atom, from: number, length: number): Atom[] {
    const part = length === 1 ? undefined : new Atom(length)
    this.#picks.set(atom, { from, part })
    return part ? [part] : []
  }

  /**
   * The columns in the order of these pieces, the last changing fastest; undefined if they are not all that are left of the
   * columns.
   */
  columns(order: readonly Atom[]): number[] | undefined {
    const own = new Set(this.leaves)
    if (order.length !== own.size || !order.every((atom) => own.has(atom))) return undefined
    const places = new Map<Atom, number>()
    const at = (atom: Atom): number =>
      leavesOf([atom]).reduce((index, leaf) => {
        const pick = this.#picks.get(leaf)
        const place = pick ? pick.from + (pick.part ? at(pick.part) : 0) : places.get(leaf)!
        return index * (leaf.size as number) + place
      }, 0)
    const count = sizeOf(order) as number
    return Array.from({ length: count }, (_, index) => {
      let rest = index
      for (const atom of [...order].reverse()) {
        places.set(atom, rest % (atom.size as number))
        rest = Math.floor(rest / (atom.size as number))
      }
      return at(this.whole)
    })
  }
}

/** Which part of which axis a Split, Slice or Gather takes, where that is known now. */
function rangeOf(node: Node, output: Value, rank: number): { axis: number; from: number; length: number } | undefined {
  const positive = (axis: number): number => (axis < 0 ? axis + rank : axis)
  if (node.is('Gather')) {
    const at = integersOf(node.input(1))
    const axis = positive(node.int('axis', 0))
    const size = node.input(0)?.shape?.[axis]
    if (at?.length !== 1 || node.input(1)?.rank !== 0 || typeof size !== 'number') return undefined
    return { axis, from: at[0]! < 0 ? at[0]! + size : at[0]!, length: 1 }
  }
  const axes = node.is('Split') ? [node.int('axis', 0)] : (node.ints('axes') ?? integersOf(node.input(3)))
  if (axes?.length !== 1) return undefined
  const axis = positive(axes[0]!)
  const [size, length] = [node.input(0)?.shape?.[axis], output.shape?.[axis]]
  if (typeof size !== 'number' || typeof length !== 'number') return undefined
  if (node.is('Split')) {
    const before = node.outputs.slice(0, output.outputIndex).map((value) => value?.shape?.[axis])
    const sizes = node.ints('split') ?? integersOf(node.input(1)) ?? before
    const from = sizes.slice(0, output.outputIndex).reduce<number>((sum, each) => sum + Number(each), 0)
    return Number.isInteger(from) ? { axis, from, length } : undefined
  }
  const start = (node.ints('starts') ?? integersOf(node.input(1)))?.[0]
  const steps = integersOf(node.input(4))
  if (start === undefined || (steps && steps[0] !== 1)) return undefined
  return { axis, from: Math.min(start < 0 ? Math.max(start + size, 0) : start, size), length }
}
