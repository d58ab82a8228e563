import type { Detection } from '../types.ts'
import { classesAt } from './classes.ts'
import type { ReadResult } from './predict.ts'

/** What was found in the image, best first, in its pixels. */
export const readDetections: ReadResult = (outputs, names) => {
  const { data, dims } = outputs[names['boxes']!] as { data: Float32Array; dims: readonly number[] }
  const points = names['keypoints'] === undefined ? undefined : outputs[names['keypoints']]
  const [, each = 0, size = 0] = points?.dims ?? []
  const pointsOf = (row: number) =>
    Array.from({ length: each }, (_, i) => {
      const at = (row * each + i) * size
      const [x, y, score] = Array.from({ length: size }, (_, part) => points!.data[at + part] as number)
      return { x: x!, y: y!, ...(score !== undefined && { score }) }
    })
  return [
    classesAt(outputs, names, 0, dims[0]!).map((found, row): Detection => {
      const [x, y, right, bottom] = data.subarray(row * 4, row * 4 + 4) as unknown as [number, number, number, number]
      return { ...found, x, y, width: right - x, height: bottom - y, ...(points && { keyPoints: pointsOf(row) }) }
    }),
  ]
}
