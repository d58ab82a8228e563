import type { Note } from '../../pass.ts'
import type { QuantizedConstant } from './constants.ts'
import type { Plan } from './plan.ts'
import type { StaticOptions } from './settings.ts'

/** Says how many bits int8 weights of products have, and where their sums saturate. */
export function noteSaturation(plan: Plan, { activationType }: StaticOptions, note: (note: Note) => void): void {
  if (!activationType.endsWith('int8')) return
  const weights = new Set<QuantizedConstant>()
  for (const { mark, constant } of plan.constants)
    if (mark.kind === 'weight' && mark.product && constant.request.type === 'int8') weights.add(constant)
  const [any] = weights
  if (!any) return
  const why = 'x86 CPUs without VNNI add pairs of 8-bit products in 16 bits'
  const many = weights.size === 1 ? '1 weight of int8 has' : `${weights.size} weights of int8 have`
  const kept = [...weights].map((weight) => weight.kept ?? 1)
  const steps = Math.round((127 * kept.reduce((sum, part) => sum + part, 0)) / kept.length)
  const message = {
    safe: `${many} as many codes as cannot saturate anywhere (on average ${steps} of 127 steps): ${why}`,
    reduced: `${many} 7 bits, which cannot saturate anywhere: ${why}`,
    full: `${many} all 8 bits, for ARM and CPUs with VNNI: ${why}, where sums of these saturate`,
  }[any.request.range]
  note({ level: 'info', code: 'quantize/saturation', message })
}
