import type { Elimination } from '../eliminate.ts'
import { castTarget } from '../facts.ts'

/** Cast to the type that the value has already. */
export const cast: Elimination = {
  ops: ['Cast', 'CastLike'],
  find(node, facts) {
    const [source, like] = node.inputs
    if (!source) return undefined
    const target = node.opType === 'Cast' ? castTarget(node) : like ? facts.dtype(like) : undefined
    // What the file states is no proof, but enough to give up early.
    if (!target || (source.dtype && source.dtype !== target)) return undefined
    return facts.dtype(source) === target ? source : undefined
  },
}
