import { constantInts, intList } from '../constants.ts'
import type { Elimination } from '../eliminate.ts'

/** Ends from here on mean "to the end": no axis is that long. */
const TO_THE_END = 2 ** 31 - 1

/** Slice that takes every axis whole. */
export const slice: Elimination = {
  ops: ['Slice'],
  find(node, facts) {
    const source = node.input(0)
    const starts = intList(node, 'starts', 1)
    const ends = intList(node, 'ends', 2)
    if (!source || !starts || !ends || starts.length !== ends.length) return undefined
    const axes = (node.inputCount > 1 ? node.input(3) : node.attributes.has('axes'))
      ? intList(node, 'axes', 3)
      : starts.map((_, i) => i)
    const steps = node.input(4) ? constantInts(node.input(4)) : starts.map(() => 1)
    if (!axes || !steps?.every((step) => step === 1)) return undefined
    if (starts.some((start) => start > 0) || ends.some((end) => end === 0 || end === -1)) return undefined
    const obvious = starts.every((start, i) => start === 0 && ends[i]! >= TO_THE_END)
    if (obvious) return source
    const shape = facts.shape(source)
    if (!shape) return undefined
    const whole = axes.every((axis, i) => {
      const size = shape[axis < 0 ? axis + shape.length : axis]
      if (size === null || size === undefined) return starts[i] === 0 && ends[i]! >= TO_THE_END
      return (starts[i] === 0 || starts[i]! <= -size) && ends[i]! >= size
    })
    return whole ? source : undefined
  },
}
