import type { Elimination } from '../eliminate.ts'

/** Flatten of a matrix at its only seam. */
export const flatten: Elimination = {
  ops: ['Flatten'],
  find(node, facts) {
    const source = node.input(0)
    const axis = node.int('axis', 1)
    if (!source || (axis !== 1 && axis !== -1)) return undefined
    return facts.rank(source) === 2 ? source : undefined
  },
}
