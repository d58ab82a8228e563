import type { Value } from '../../../graph/value.ts'
import { DTYPES } from '../../../onnx/dtypes.ts'
import type { Elimination } from '../eliminate.ts'
import type { Facts } from '../facts.ts'

/**
 * `x + 0`, `x - 0`, `x * 1`, `x / 1`, `x ^ 1` with a constant of one element. For floats only where not even the sign of a zero
 * changes: `-0 + 0` is `0`, but `-0 + -0` and `-0 - 0` are `-0`.
 */
export const arithmetic: Elimination = {
  ops: ['Add', 'Sub', 'Mul', 'Div', 'Pow'],
  find(node, facts) {
    const [left, right] = node.inputs
    if (!left || !right) return undefined
    const commutes = node.opType === 'Add' || node.opType === 'Mul'
    if (isNeutral(node.opType, right, left, facts)) return left
    return commutes && isNeutral(node.opType, left, right, facts) ? right : undefined
  },
}

function isNeutral(op: string, constant: Value, other: Value, facts: Facts): boolean {
  const data = constant.constant
  if (!data?.dtype || !['float', 'int'].includes(DTYPES[data.dtype].kind)) return false
  const number = data.scalar()
  const isInteger = DTYPES[data.dtype].kind === 'int'
  const neutral =
    op === 'Add'
      ? Object.is(number, -0) || (isInteger && number === 0)
      : op === 'Sub'
        ? Object.is(number, 0)
        : number === 1
  if (!neutral || other.constant) return false
  // Pow takes its type from the base; the others need two operands of one type, so there the types agree.
  const rank = data.dims.length
  return rank === 0 || (facts.rank(other) ?? -1) >= rank
}
