import type { Node } from '../../graph/node.ts'
import type { Value } from '../../graph/value.ts'
import { replaceNode } from './replace.ts'
import { nameOf } from './select.ts'
import { findWeight } from './weight.ts'

const DOMAIN = 'com.microsoft'

/** Codes and what they mean. */
export interface Codes {
  data: Value
  scale: Value
  zeroPoint: Value
}

/** Why an Attention node must stay float, if it must. */
export function attentionBlocker(node: Node): string | undefined {
  const found = findWeight(node.input(1))
  if (!found) return 'its weight is computed at run time'
  if (found.transposed || found.tensor.dims.length !== 2) return 'its weight is no plain matrix'
  if (found.dtype !== 'float32') return `QAttention has no ${found.dtype} form`
  if (node.input(5)) return 'QAttention has no attention_bias'
  if (node.input(6)) return 'QAttention has no past_sequence_length'
  for (const name of ['qkv_hidden_sizes', 'rotary_embedding_dim'])
    if (node.attributes.has(name)) return `QAttention has no ${name}`
  return undefined
}

/**
 * Puts QAttention in the place of Attention, with the mask and the past that it has. ONNX Runtime 1.30 crashes without a bias.
 *
 * @returns its result
 */
export function writeQAttention(node: Node, input: Codes, weight: Codes, bias: Value): Value {
  const { graph } = node
  const fresh = graph.insert(
    {
      op: 'QAttention',
      domain: DOMAIN,
      name: `${nameOf(node)}_quant`,
      inputs: [
        input.data,
        weight.data,
        bias,
        input.scale,
        weight.scale,
        node.input(3) ?? null,
        input.zeroPoint,
        weight.zeroPoint,
        node.input(4) ?? null,
      ],
      attributes: Object.fromEntries(node.attributes),
      outputs: node.outputs.map((value) => value && `${value.name}_quant`),
      types: node.outputs.map((value) => value?.type),
    },
    { before: node },
  )
  replaceNode(node, ...fresh.outputs.map((value) => value ?? undefined))
  graph.model.useDomain(DOMAIN)
  return fresh.output()
}
