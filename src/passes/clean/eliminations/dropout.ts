import type { Elimination } from '../eliminate.ts'

/** Dropout outside of training. Since version 12 an input says whether this is training; before, runtimes never train. */
export const dropout: Elimination = {
  ops: ['Dropout'],
  find(node, facts) {
    if (facts.opset(node.graph) < 7 && !node.int('is_test', 0)) return undefined
    const training = node.input(2)
    return !training || training.constant?.scalar() === 0 ? node.input(0) : undefined
  },
}
