import type { PassContext } from '../../pass.ts'
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
