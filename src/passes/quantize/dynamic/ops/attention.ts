import { Tensor } from '../../../../graph/tensor.ts'
import { attentionBlocker, writeQAttention } from '../../q-attention.ts'
import { findWeight } from '../../weight.ts'
import { codeRange, type Handler, isSymmetric, left } from '../tools.ts'

const DOMAIN = 'com.microsoft'

/** Attention with a constant, packed QKV weight -> QAttention. */
export const attention: Handler = {
  op: 'Attention',
  domain: DOMAIN,
  quantize(node, { options, weights, activations, leftovers, factors }) {
    const [input, packed, bias] = Array.from({ length: 3 }, (_, i) => node.input(i))
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
    const quantized = activations.quantize(input, 'float32', node)
    const zeros = (): Tensor => Tensor.float32([found.tensor.dims[1]!], new Float32Array(found.tensor.dims[1]!))
    const codes = { data: weight.data, scale: weight.scale, zeroPoint: weights.zeroPoints(weight) }
    writeQAttention(node, quantized, codes, bias ?? weights.derive(weight.scale, 'no_bias', zeros))
    leftovers.add(packed)
    return 'done'
  },
}
