import { Tensor } from '../../../../graph/tensor.ts'
import { findWeight } from '../../weight.ts'
import { codeRange, type Handler, isSymmetric, left } from '../tools.ts'

const DOMAIN = 'com.microsoft'

/** Attention with a constant, packed QKV weight -> QAttention. */
export const attention: Handler = {
  op: 'Attention',
  domain: DOMAIN,
  quantize(node, { options, weights, activations, leftovers }) {
    const [input, packed, bias, mask, past, attentionBias, pastLength] = Array.from({ length: 7 }, (_, i) =>
      node.input(i),
    )
    if (!input || !packed) return 'skipped'
    const found = findWeight(packed)
    if (!found) return left('its weight is computed at run time')
    if (found.transposed || found.tensor.dims.length !== 2) return left('its weight is no plain matrix')
    if (found.dtype !== 'float32') return left(`QAttention has no ${found.dtype} form`)
    if (attentionBias) return left('QAttention has no attention_bias')
    if (pastLength) return left('QAttention has no past_sequence_length')
    for (const name of ['qkv_hidden_sizes', 'rotary_embedding_dim'])
      if (node.attributes.has(name)) return left(`QAttention has no ${name}`)
    const type = options.weightType ?? 'int8'
    const weight = weights.get(found.root, {
      type,
      symmetric: isSymmetric(options, type),
      range: codeRange(options),
      axis: options.perChannel ? 1 : undefined,
      contraction: 'rows',
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
    node.outputs.forEach((value, i) => {
      if (value) graph.replace(value, fresh.output(i))
    })
    graph.remove(node)
    graph.model.useDomain(DOMAIN)
    leftovers.add(packed)
    return 'done'
  },
}
