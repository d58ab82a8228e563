import type { Node } from '../graph/node.ts'
import { type Failure, integersFrom, no } from '../rewrite/index.ts'

/** The one axis that a reduction takes away and keeps as 1, from the end. */
export function reducedAxis(node: Node, rank: number | undefined): number | Failure {
  const axes = integersFrom(node, 'axes', 1)
  if (axes?.length !== 1 || node.int('keepdims', 1) !== 1) return no('is not over one axis that stays', node)
  if (axes[0]! >= 0 && rank === undefined) return no('counts axes from the front of an unknown rank', node)
  return axes[0]! < 0 ? axes[0]! : axes[0]! - rank!
}
