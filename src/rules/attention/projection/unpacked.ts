import type { Node } from '../../../graph/node.ts'
import { tensorType } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import type { Build } from '../../../rewrite/index.ts'
import { arrange, planOf } from '../axes/arrange.ts'
import { sizeOf } from '../axes/atoms.ts'
import { type Stage, viewOf } from '../axes/view.ts'
import { flat } from '../operators/multi-head.ts'
import { type InputAxes, type Projection, projectionOf, readElsewhere } from './index.ts'
import { packedBias, packedWeights } from './packed-weights.ts'

/**
 * Operands of an attention as [batch, length, hidden] that are parts of packed projections and lie in another order: with weights
 * of their own, in the order that is wanted, nothing needs to be moved when the model runs. Undefined for the others.
 */
export function unpacked(build: Build, operands: readonly Value[], attention: Node): (Value | undefined)[] {
  const known: InputAxes = new Map()
  const parts = operands.map((operand) => {
    const stages = viewOf(operand)
    return stages && planOf(stages, flat(stages)).moves ? projectionOf(operand, known) : undefined
  })
  const own = parts.filter((part) => part !== undefined)
  if (!own.length || readElsewhere(own, attention)) return parts.map(() => undefined)
  return parts.map((part) => part && projected(build, part))
}

function projected(build: Build, part: Projection): Value {
  const { input, batch, length, width, columns, bias } = part
  const rows = arrange(build, [input] satisfies Stage[], [batch, length, width])
  const product = build.op.MatMul(rows, build.constant(packedWeights([part]), 'weight'))
  const result = bias ? build.op.Add(product, build.constant(packedBias([part]), 'bias')) : product
  result.type = tensorType(result.dtype, [sizeOf(batch), sizeOf(length), columns.length])
  return result
}
