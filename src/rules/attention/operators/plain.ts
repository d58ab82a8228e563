import { Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import { codeOf } from '../../../onnx/dtypes.ts'
import { type Rule, rule } from '../../../rewrite/index.ts'
import { SDPA } from '../sdpa/index.ts'
import { spread } from './shared-heads.ts'

/** Attention that got no operator of its own (rules left out, steps used up) as standard operators again. */
export const plain: Rule = rule({
  name: 'plain-attention',
  doc: 'SDPA -> Softmax(q * k^T * scale + bias) * v',
  match: ({ oneOf, any, ifGiven }) =>
    oneOf(SDPA, any('query'), any('key'), any('value'), ifGiven(any('bias')), ifGiven(any('mask'))),
  replace: (match) => {
    const { op, constant, query, bias, mask, node, root, opset } = match
    const [key, value] = [spread(match, query, match.key), spread(match, query, match.value)]
    const product = op.MatMul(query, op.Transpose(key, { perm: [0, 1, 3, 2] }))
    const scale = node.float('scale', 1)
    const softcap = node.float('softcap')
    const [factor, cap] = softcap === undefined ? [scale, 1] : [scale / softcap, softcap]
    const multiplied = factor === 1 ? product : op.Mul(product, factor)
    const scaled = softcap === undefined ? multiplied : op.Mul(op.Tanh(multiplied), cap)
    const dtype = root.dtype ?? 'float32'
    const zero = constant(Tensor.from(dtype, [], [0]), 'zero')
    const added = bias ? op.Add(scaled, bias) : scaled
    const fill = (): Value => constant(Tensor.from(dtype, [], [node.float('mask_filter_value', -1e4)]), 'fill')
    const seen = (): Value => {
      const wide = opset < 13 ? op.Unsqueeze(mask, { axes: [1, 2] }) : op.Unsqueeze(mask, [1, 2])
      return op.Cast(wide, { to: codeOf('bool') })
    }
    const softmax = op.Softmax(mask ? op.Add(added, op.Where(seen(), zero, fill())) : added, { axis: 3 })
    return op.MatMul(node.int('guard') ? op.Where(op.IsNaN(softmax), zero, softmax) : softmax, value)
  },
})
