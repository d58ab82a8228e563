import type { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import { OnnxError } from '../../onnx/errors.ts'

/** Operators of attention with their number of heads as an attribute. */
const HEADS: Readonly<Record<string, string>> = {
  'com.microsoft:Attention': 'num_heads',
  'com.microsoft:MultiHeadAttention': 'num_heads',
  'com.microsoft:GroupQueryAttention': 'num_heads',
  Attention: 'q_num_heads',
}

/**
 * Checks what the user says about a model's attention against what the graph says.
 *
 * @throws OnnxError `HEADS_CONTRADICTED` or `HIDDEN_SIZE_CONTRADICTED` with both numbers
 */
export function checkHeads(
  model: Model,
  wanted: { numHeads?: number | undefined; hiddenSize?: number | undefined },
): void {
  const { numHeads, hiddenSize } = wanted
  if (numHeads === undefined && hiddenSize === undefined) return
  for (const node of model.allNodes()) {
    const attribute = HEADS[node.qualifiedType]
    const heads = attribute && node.int(attribute)
    if (!heads) continue
    if (numHeads !== undefined && heads !== numHeads)
      throw contradiction('HEADS_CONTRADICTED', node, `has ${heads} heads, not ${numHeads}`, 'numHeads')
    const hidden = hiddenSizeOf(node)
    if (hiddenSize !== undefined && hidden !== undefined && hidden !== hiddenSize)
      throw contradiction(
        'HIDDEN_SIZE_CONTRADICTED',
        node,
        `has the hidden size ${hidden}, not ${hiddenSize}`,
        'hiddenSize',
      )
  }
}

/** Width of the query. */
function hiddenSizeOf(node: Node): number | undefined {
  if (node.is('Attention', 'com.microsoft')) {
    const sizes = node.ints('qkv_hidden_sizes')
    const columns = node.input(1)?.shape?.[1]
    return sizes?.[0] ?? (typeof columns === 'number' ? columns / 3 : undefined)
  }
  const width = node.input(0)?.shape?.[2]
  return node.input(0)?.rank === 3 && typeof width === 'number' ? width : undefined
}

function contradiction(code: string, node: Node, what: string, option: string): OnnxError {
  return new OnnxError(code, `the model's attention ${what}`, {
    place: { node: node.label },
    hint: `Leave ${option} out: it is read from the graph.`,
  })
}
