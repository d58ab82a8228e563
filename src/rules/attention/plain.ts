import { Tensor } from '../../graph/tensor.ts'
import { type Rule, rule } from '../../rewrite/index.ts'
import { SDPA } from './sdpa.ts'

/** Attention that got no operator of its own (rules left out, steps used up) as standard operators again. */
export const plain: Rule = rule({
  name: 'plain-attention',
  doc: 'SDPA -> Softmax(q * k^T * scale + bias) * v',
  match: ({ oneOf, any, ifGiven }) => oneOf(SDPA, any('query'), any('key'), any('value'), ifGiven(any('bias'))),
  replace: ({ op, constant, query, key, value, bias, node, root }) => {
    const product = op.MatMul(query, op.Transpose(key, { perm: [0, 1, 3, 2] }))
    const scale = node.float('scale', 1)
    const scaled = scale === 1 ? product : op.Mul(product, scale)
    const softmax = op.Softmax(bias ? op.Add(scaled, bias) : scaled, { axis: -1 })
    const zero = constant(Tensor.from(root.dtype ?? 'float32', [], [0]), 'zero')
    return op.MatMul(node.int('guard') ? op.Where(op.IsNaN(softmax), zero, softmax) : softmax, value)
  },
})
