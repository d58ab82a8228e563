import type { Elimination } from '../eliminate.ts'

/** Concat, Sum, Max, Min, Mean of one value; Split into one part. */
export const single: Elimination = {
  ops: ['Concat', 'Sum', 'Max', 'Min', 'Mean', 'Split'],
  find(node) {
    if (node.opType === 'Split') return node.outputs.length === 1 ? node.input(0) : undefined
    return node.inputCount === 1 ? node.input(0) : undefined
  },
}
