import { constantInts } from '../constants.ts'
import type { Elimination } from '../eliminate.ts'

/** Pad by nothing, in any mode. */
export const pad: Elimination = {
  ops: ['Pad'],
  find(node) {
    const widths = node.input(1) ? constantInts(node.input(1)) : (node.ints('pads') ?? node.ints('paddings'))
    return widths?.every((width) => width === 0) ? node.input(0) : undefined
  },
}
