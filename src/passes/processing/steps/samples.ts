import type { Value } from '../../../graph/value.ts'
import type { Context } from '../context.ts'

/** Samples with zeros at the end, or less of them. */
export function fitted(value: Value, samples: number, { ops }: Context): Value {
  const missing = ops.op('Sub', [ops.ints([samples]), ops.op('Shape', [value])])
  return ops.op('Pad', [value, ops.op('Concat', [ops.ints([0]), missing], { axis: 0 })])
}
