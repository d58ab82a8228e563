import { divideDims, multiplyDims } from '../../../graph/dims.ts'
import type { Dim } from '../../../graph/types.ts'

/**
 * A piece of an axis that Reshapes move about as a whole: in `[batch, sequence, 32] -> [batch, sequence, 4, 8]` the last axis has
 * the pieces 4 and 8. Pieces of size 1 are left out. A piece is split when a Reshape first cuts it.
 */
export class Atom {
  readonly size: Dim
  #parts: readonly Atom[] | undefined

  constructor(size: Dim) {
    this.size = size
  }

  /** Appends the uncut pieces that it is made of. */
  collect(leaves: Atom[]): void {
    if (this.#parts) for (const part of this.#parts) part.collect(leaves)
    else leaves.push(this)
  }

  split(first: Dim, second: Dim): readonly Atom[] {
    this.#parts = [new Atom(first), new Atom(second)]
    return this.#parts
  }
}

/** The axes of a value, each as the pieces it is made of. */
export type Axes = readonly (readonly Atom[])[]

/** The uncut pieces of some axes, outermost first. */
export function leavesOf(...atoms: readonly (readonly Atom[])[]): Atom[] {
  const leaves: Atom[] = []
  for (const list of atoms) for (const atom of list) atom.collect(leaves)
  return leaves
}

/** Fresh axes, one piece each. */
export function axesOf(shape: readonly Dim[]): Axes {
  return shape.map((size) => (size === 1 ? [] : [new Atom(size)]))
}

/** Size of an axis made of these pieces. */
export function sizeOf(atoms: readonly Atom[]): Dim {
  return multiplyDims(leavesOf(atoms).map(({ size }) => size))
}

/**
 * Cuts a sequence of pieces into axes of these sizes. A size may be unknown, or be written in another way than the pieces are: it
 * gets what the others leave, as elements are neither lost nor made.
 *
 * @returns undefined where the sizes can't be followed
 */
export function partition(atoms: readonly Atom[], sizes: readonly Dim[]): Axes | undefined {
  const rest = leavesOf(atoms)
  const axes: Atom[][] = sizes.map(() => [])
  let from = 0
  let to = sizes.length - 1
  for (; from <= to; from++) {
    const taken = take(rest, sizes[from]!, 'left')
    if (!taken) break
    axes[from] = taken
  }
  for (; to > from; to--) {
    const taken = take(rest, sizes[to]!, 'right')
    if (!taken) break
    axes[to] = taken
  }
  if (from > to) return rest.length ? undefined : axes
  if (from < to) {
    // Several sizes that are written in another way: one piece can be cut into them all the same.
    if (rest.length !== 1) return undefined
    for (; from < to; from++) {
      const [first, second] = rest[0]!.split(sizes[from]!, multiplyDims(sizes.slice(from + 1, to + 1)))
      axes[from] = [first!]
      rest[0] = second!
    }
    axes[to] = [...rest]
    return axes
  }
  const size = sizeOf(rest)
  if (typeof size === 'number' && typeof sizes[from] === 'number' && size !== sizes[from]) return undefined
  axes[from] = rest
  return axes
}

function take(rest: Atom[], size: Dim, side: 'left' | 'right'): Atom[] | undefined {
  const before = [...rest]
  const taken: Atom[] = []
  for (let need = size; need !== 1; ) {
    const at = side === 'left' ? 0 : rest.length - 1
    const atom = rest[at]
    const left = atom && divideDims([need], [atom.size])
    const over = atom && divideDims([atom.size], [need])
    if (!atom || (left === null && over === null)) {
      rest.splice(0, rest.length, ...before)
      return undefined
    }
    if (left !== null) rest.splice(at, 1)
    else if (side === 'left') rest.splice(at, 1, ...atom.split(need, over!))
    else rest.splice(at, 1, ...atom.split(over!, need))
    if (left === null) continue
    taken[side === 'left' ? 'push' : 'unshift'](atom)
    need = left!
  }
  return taken
}
