import type { PassContext } from '../../pass.ts'
import { badData } from './data/types.ts'
import type { StatisticsMap } from './statistics.ts'

/**
 * Notes that the data has values that are not finite, or that the model makes NaN of it. Infinity inside of a model says nothing: many
 * attention masks are made of it.
 */
export function noteNotFinite(statistics: StatisticsMap, note: PassContext['note']): void {
  const found = [...statistics].filter(
    ([value, { nan, infinite }]) => nan > 0 || (infinite > 0 && !value.producer && !value.graph.owner),
  )
  const [first] = found
  if (!first) return
  const [value, { nan, infinite }] = first
  const what = [...(nan ? [`${nan} NaN`] : []), ...(infinite ? [`${infinite} infinite`] : [])].join(' and ')
  const others = found.length > 1 ? `, and ${found.length - 1} more tensors have such` : ''
  note({
    level: 'warn',
    code: 'quantize/not-finite',
    message: `on the calibration data "${value.name}" has ${what} values${others}: they are no part of ranges. Look at the data first`,
  })
}

/**
 * Refuses data that has no finite value for some input, and warns of inputs that are zero throughout: their range is that of nothing.
 *
 * @throws OnnxError `CALIBRATION_DATA`
 */
export function checkInputs(statistics: StatisticsMap, file: string, note: PassContext['note']): void {
  for (const [value, { min, max, nan, infinite }] of statistics) {
    if (!value.isInput || value.graph.owner) continue
    if (nan + infinite > 0 && !(min <= max))
      throw badData(
        `"${value.name}" has no finite value in any sample`,
        file,
        'Look at how the samples are made: a division by zero, or a file of another type.',
      )
    if (min === 0 && max === 0)
      note({
        level: 'warn',
        code: 'quantize/zeros',
        message: `"${value.name}" is zero in all of the calibration data: its range is that of nothing, and other values will be lost`,
      })
  }
}
