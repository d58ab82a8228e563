import type { Node } from '../../graph/node.ts'
import type { Value } from '../../graph/value.ts'
import { finding, type LintRule } from '../finding.ts'

/** Matrix units take operands in pieces of so many channels. */
const PIECE = 8

/** Products whose inner or outer size is no multiple of 8: the rest of a piece is computed for nothing, rows start unaligned. */
export const alignment: LintRule = ({ model }) => {
  const waste = new Map<Node, { share: number; sizes: readonly number[] }>()
  let useful = 0
  let padding = 0
  for (const node of model.graph.allNodes()) {
    const all = sizesOf(node)
    // An image's 1 or 3 channels can't be changed.
    const sizes = all.filter((size) => size > 4)
    const share = sizes.reduce((product, size) => product * ((Math.ceil(size / PIECE) * PIECE) / size), 1) - 1
    const weights = all.reduce((product, size) => product * size, all.length ? 1 : 0)
    useful += weights
    padding += weights * share
    if (share > 0) waste.set(node, { share, sizes: sizes.filter((size) => size % PIECE !== 0) })
  }
  const nodes = [...waste].sort((a, b) => b[1].share - a[1].share)
  const [most] = nodes
  const odd = [...new Set(nodes.flatMap(([, { sizes }]) => sizes))].slice(0, 4)
  return finding(
    'alignment',
    nodes.map(([node]) => node),
    {
      message: `products with channels that are no multiple of ${PIECE} (${odd.join(', ')}${odd.length === 4 ? ', ...' : ''})`,
      cost: `up to ${percent(most?.[1].share ?? 0)} % of their arithmetic is padding (${percent(padding / (useful || 1))} % by all weights of the model), and rows start at unaligned addresses`,
      change: `Make the channels a multiple of ${PIECE}, better 32, where the model is trained; padding them with zeros costs the same arithmetic but aligns the rows.`,
    },
  )
}

function percent(share: number): string {
  return String(Number((share * 100).toPrecision(2)))
}

/** Channels of the weight of a product: in and out. */
function sizesOf(node: Node): number[] {
  const weight = node.input(1)
  const known = (dims: readonly unknown[]): number[] => dims.filter((dim) => typeof dim === 'number')
  if (node.is('MatMulNBits', 'com.microsoft')) return known([node.int('K'), node.int('N')])
  if (node.domain !== '' || !weight) return []
  if (node.opType === 'MatMul' || node.opType === 'Gemm')
    return isStored(weight) ? known(weight.shape?.slice(-2) ?? []) : []
  if (node.opType === 'Conv' && node.int('group', 1) === 1) return known(weight.shape?.slice(0, 2) ?? [])
  return []
}

/** A constant, or one that is stored quantized. */
function isStored(value: Value): boolean {
  return !!value.constant || (!!value.producer?.is('DequantizeLinear') && !!value.producer.input(0)?.constant)
}
