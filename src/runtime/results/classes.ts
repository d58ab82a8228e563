import type { Classification } from '../types.ts'
import type { ReadResult, Tensors } from './predict.ts'

/** The best classes of each text or image, best first. */
export const readClasses: ReadResult = (outputs, names) => {
  const { dims, data } = outputs[names['scores']!]!
  const count = dims.at(-1)!
  return Array.from({ length: data.length / count }, (_, row) => classesAt(outputs, names, row * count, count))
}

/** Classes, scores and labels of some places in a row. */
export function classesAt(
  outputs: Tensors,
  names: { readonly [meaning: string]: string },
  from: number,
  count: number,
): Classification[] {
  const column = (meaning: string) => outputs[names[meaning]!]?.data
  const [classes, scores, labels] = [column('classes')!, column('scores')!, column('labels')]
  return Array.from({ length: count }, (_, i) => ({
    class: Number(classes[from + i]),
    score: scores[from + i] as number,
    ...(labels && { label: labels[from + i] as string }),
  }))
}
