import type { Node } from '../../graph/node.ts'
import type { Value } from '../../graph/value.ts'
import { finding, type LintRule } from '../finding.ts'
import { elementBytes } from '../sizes.ts'

/** GPUs load rows of matrices in pieces of so many bytes, if these begin at a multiple of it. */
const PIECE_BYTES = 16

/** Products of computed matrices (attention, mostly) whose rows do not begin at multiples of 16 bytes. */
export const strides: LintRule = ({ model }) => {
  const nodes: Node[] = []
  const wanted = new Map<number, number>()
  for (const node of model.graph.allNodes()) {
    if (!node.is('MatMul') && !node.is('Gemm') && !node.is('FusedMatMul', 'com.microsoft')) continue
    // Weights are what `alignment` is about.
    const operands = [node.input(0), node.input(1)].filter((value) => value && !isWeight(value)) as Value[]
    if (operands.length < 2) continue
    const rows = operands.flatMap((value) => unalignedRow(value) ?? [])
    if (!rows.length) continue
    nodes.push(node)
    for (const [size, better] of rows) wanted.set(size, better)
  }
  return finding('strides', nodes, {
    message: `products of computed matrices with rows of ${[...wanted.keys()].slice(0, 4).join(', ')} elements, no multiple of ${PIECE_BYTES} bytes`,
    cost: 'every other row begins at an unaligned address: it is read element by element, or copied into padded memory first',
    change: `Pad the dimension and mask the rest: ${[...wanted]
      .slice(0, 4)
      .map(([size, better]) => `${size} to ${better}`)
      .join(', ')}.`,
  })
}

function isWeight(value: Value): boolean {
  return !!value.constant || !!value.producer?.input(0)?.constant
}

/** Length of the rows and the next that is aligned; undefined if they are, or are not known. Vectors have no rows. */
function unalignedRow(value: Value): [size: number, better: number][] | undefined {
  const size = value.shape?.at(-1)
  const bytes = elementBytes(value)
  if (typeof size !== 'number' || size < 2 || !bytes || (value.rank ?? 0) < 2) return undefined
  const step = PIECE_BYTES / bytes
  return size % step === 0 ? undefined : [[size, Math.ceil(size / step) * step]]
}
