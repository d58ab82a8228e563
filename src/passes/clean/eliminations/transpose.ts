import type { Elimination } from '../eliminate.ts'

/** Transpose that leaves every axis where it is. */
export const transpose: Elimination = {
  ops: ['Transpose'],
  find(node, facts) {
    const source = node.input(0)
    const order = node.ints('perm')
    if (!source) return undefined
    if (order) return order.every((axis, i) => axis === i) ? source : undefined
    // Without `perm` the axes are reversed: nothing happens below two of them.
    const stated = source.rank
    if (stated !== undefined && stated > 1) return undefined
    const rank = facts.rank(source)
    return rank !== undefined && rank < 2 ? source : undefined
  },
}
