import { constantInts } from '../constants.ts'
import type { Elimination } from '../eliminate.ts'

/** Tile that repeats each axis once. */
export const tile: Elimination = {
  ops: ['Tile'],
  find(node, facts) {
    if (facts.opset(node.graph) < 6) return undefined // the inputs were others then
    return constantInts(node.input(1))?.every((times) => times === 1) ? node.input(0) : undefined
  },
}
