import type { Node } from '../../../../graph/node.ts'
import { Tensor } from '../../../../graph/tensor.ts'
import { replaceNode } from '../../replace.ts'
import { findWeight } from '../../weight.ts'
import { codeRange, type Handler, isSymmetric, left } from '../tools.ts'

const DOMAIN = 'com.microsoft'

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

/** Attention with a constant, packed QKV weight -> QAttention. */
export const attention: Handler = {
  op: 'Attention',
  domain: DOMAIN,
  quantize(node, { options, weights, activations, leftovers, factors }) {
    const [input, packed, bias, mask, past] = Array.from({ length: 5 }, (_, i) => node.input(i))
    if (!input || !packed) return 'skipped'
    const blocker = attentionBlocker(node)
    if (blocker) return left(blocker)
    const found = findWeight(packed)!
    const type = options.weightType ?? 'int8'
    const weight = weights.get(found.root, {
      type,
      symmetric: isSymmetric(options, type),
      range: codeRange(options),
      axis: options.perChannel ? 1 : undefined,
      contraction: 'rows',
      factors: factors.get(node),
    })
    if (typeof weight === 'string') return left(weight)
    const { graph } = node
    const quantized = activations.quantize(input, 'float32', node)
    const zeros = (): Tensor => Tensor.float32([found.tensor.dims[1]!], new Float32Array(found.tensor.dims[1]!))
    const fresh = graph.insert(
      {
        op: 'QAttention',
        domain: DOMAIN,
        name: `${node.name || 'Attention'}_quant`,
        inputs: [
          quantized.data,
          weight.data,
          bias ?? weights.derive(weight.scale, 'no_bias', zeros),
          quantized.scale,
          weight.scale,
          mask ?? null,
          quantized.zeroPoint,
          weights.zeroPoints(weight),
          past ?? null,
        ],
        attributes: Object.fromEntries(node.attributes),
        outputs: node.outputs.map((value) => value && `${value.name}_quant`),
        types: node.outputs.map((value) => value?.type),
      },
      { before: node },
    )
    replaceNode(node, ...fresh.outputs.map((value) => value ?? undefined))
    graph.model.useDomain(DOMAIN)
    leftovers.add(packed)
    return 'done'
  },
}
