import type { Node } from '../../graph/node.ts'
import type { Value } from '../../graph/value.ts'
import { constantOf, type Failure, integersFrom, no, sameDim } from '../../rewrite/index.ts'

/**
 * The axis from which on ReduceMean nodes take the mean, as LayerNormalization wants it: negative, all axes up to the last.
 */
export function normalizedAxis(x: Value, means: readonly Node[]): number | Failure {
  let found: number | undefined
  for (const mean of means) {
    if (mean.int('keepdims', 1) !== 1) return no('drops the axis that it reduces', mean)
    const axes = integersFrom(mean, 'axes', 1)
    if (!axes?.length) return no('has no constant axes', mean)
    const rank = x.rank
    if (axes.some((axis) => axis >= 0) && rank === undefined)
      return no('counts axes from the front of an unknown rank', mean)
    const negative = axes.map((axis) => (axis < 0 ? axis : axis - rank!)).sort((a, b) => b - a)
    if (!negative.every((axis, i) => axis === -1 - i)) return no(`reduces the axes [${axes}], not the last`, mean)
    const axis = negative.at(-1)!
    if (found !== undefined && found !== axis) return no('reduces other axes than the other mean', mean)
    found = axis
  }
  return found ?? no('there is no mean')
}

/**
 * Checks that a scale or shift has one number for each normalized element. Constants with leading ones are accepted: see
 * `flatOperand`.
 */
export function isOperand(operand: Value, x: Value, axis: number): true | Failure {
  const { shape } = operand
  const normalized = x.shape?.slice(axis)
  if (!shape) return no('has an unknown rank', operand)
  const trailing = constantOf(operand) ? shape.slice(leadingOnes(shape, -axis)) : shape
  if (trailing.length !== -axis) return no(`has the shape [${shape}], not one number per normalized element`, operand)
  for (const [i, dim] of trailing.entries()) {
    const wanted = normalized?.[i]
    if (typeof dim === 'number' && typeof wanted === 'number' ? dim !== wanted : dim === 1 && !sameDim(dim, wanted))
      return no(`has the shape [${shape}], but the normalized axes have [${normalized}]`, operand)
  }
  return true
}

function leadingOnes(shape: readonly unknown[], keep: number): number {
  let count = 0
  while (shape.length - count > keep && shape[count] === 1) count++
  return count
}

/** The operand without leading dimensions of 1. */
export function flatOperand(
  operand: Value,
  axis: number,
  constant: (tensor: ReturnType<typeof constantOf> & object) => Value,
): Value {
  const tensor = constantOf(operand)
  return !tensor || tensor.dims.length === -axis ? operand : constant(tensor.reshaped(tensor.dims.slice(axis)))
}
