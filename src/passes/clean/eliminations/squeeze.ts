import { intList } from '../constants.ts'
import { isStandard } from '../determinism.ts'
import type { Elimination } from '../eliminate.ts'

/** Unsqueeze of no axis; Squeeze that takes away what Unsqueeze put in, and the other way round. */
export const squeeze: Elimination = {
  ops: ['Squeeze', 'Unsqueeze'],
  find(node) {
    const source = node.input(0)
    const axes = intList(node, 'axes')
    if (!source || !axes) return undefined
    if (node.opType === 'Unsqueeze' && axes.length === 0) return source
    const first = source.producer
    const inverse = node.opType === 'Squeeze' ? 'Unsqueeze' : 'Squeeze'
    if (!first || !isStandard(first) || first.opType !== inverse) return undefined
    // Axes of both count in the longer shape, so equal lists mean equal places, negative ones too.
    const other = intList(first, 'axes')
    if (!other || axes.length === 0 || axes.length !== other.length) return undefined
    return axes.every((axis) => other.includes(axis)) ? first.input(0) : undefined
  },
}
