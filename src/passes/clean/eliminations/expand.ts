import { constantInts } from '../constants.ts'
import type { Elimination } from '../eliminate.ts'

/** Expand to a shape that asks for nothing beyond the value's own. */
export const expand: Elimination = {
  ops: ['Expand'],
  find(node, facts) {
    const source = node.input(0)
    const wanted = constantInts(node.input(1))
    if (!source || !wanted) return undefined
    if (wanted.length === 0) return source
    const shape = facts.shape(source)
    if (!shape || wanted.length > shape.length) return undefined
    const offset = shape.length - wanted.length
    return wanted.every((dim, i) => dim === 1 || dim === shape[offset + i]) ? source : undefined
  },
}
