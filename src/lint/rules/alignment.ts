import type { Node } from '../../graph/node.ts'
import { finding, type LintRule } from '../finding.ts'

/** Matrix units take operands in pieces of so many channels. */
const PIECE = 8

/** Products whose inner or outer size is no multiple of 8: the rest of a piece is computed for nothing, rows start unaligned. */
export const alignment: LintRule = ({ model }) => {
  const waste = new Map<Node, number>()
  for (const node of model.graph.allNodes()) {
    // An image's 1 or 3 channels can't be changed.
    const sizes = sizesOf(node).filter((size) => size > 4)
    const share = sizes.reduce((product, size) => product * ((Math.ceil(size / PIECE) * PIECE) / size), 1) - 1
    if (share > 0) waste.set(node, share)
  }
  const nodes = [...waste].sort((a, b) => b[1] - a[1])
  const most = nodes[0]?.[1] ?? 0
  return finding(
    'alignment',
    nodes.map(([node]) => node),
    {
      message: `products with channels that are no multiple of ${PIECE}`,
      cost: `up to ${Math.round(most * 100)} % of their arithmetic is padding, and rows start at unaligned addresses`,
      change: `Make the channels a multiple of ${PIECE}, better 32, where the model is trained; padding them with zeros costs the same arithmetic but aligns the rows.`,
    },
  )
}

/** Channels of the weight of a product: in and out. */
function sizesOf(node: Node): number[] {
  const shape = node.input(1)?.shape
  const known = (dims: readonly unknown[]): number[] => dims.filter((dim) => typeof dim === 'number')
  if (node.domain !== '') return []
  if (node.opType === 'MatMul' || node.opType === 'Gemm')
    return node.input(1)?.constant ? known(shape?.slice(-2) ?? []) : []
  if (node.opType === 'Conv' && node.int('group', 1) === 1) return known(shape?.slice(0, 2) ?? [])
  return []
}
