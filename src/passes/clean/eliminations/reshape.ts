import { intList } from '../constants.ts'
import type { Elimination } from '../eliminate.ts'

/** Reshape to the shape that the value has already. */
export const reshape: Elimination = {
  ops: ['Reshape'],
  find(node, facts) {
    const source = node.input(0)
    const wanted = intList(node, 'shape')
    if (!source || !wanted) return undefined
    const copies = !node.int('allowzero', 0)
    // Where all but one dimension are copied, the last one follows from the number of elements.
    const unclear = wanted.filter((dim) => !(dim === 0 && copies) && dim !== -1).length
    if (wanted.filter((dim) => dim === -1).length > 1) return undefined
    const shape = facts.shape(source)
    if (shape?.length !== wanted.length) return undefined
    if (unclear && shape.some((dim) => dim === 0)) return undefined
    return wanted.every((dim, i) => (dim === 0 && copies) || dim === -1 || dim === shape[i]) ? source : undefined
  },
}
