import { Failure, no, type Rule, rule } from '../../rewrite/index.ts'
import { flatOperand, isOperand, normalizedAxis } from './operands.ts'

/** As TensorFlow's batch-normalization helper writes it: scale and shift are folded before they meet x. */
export const layerNormTf: Rule = rule({
  name: 'layer-norm-tf',
  doc: 'x * a + (beta - mean(x) * a), a = gamma / sqrt(variance + epsilon) -> LayerNormalization',
  emits: ['LayerNormalization'],
  match: ({ op, any, scalar, rest, maybe, either }) => {
    const x = any('x')
    const mean = op.ReduceMean(x, rest()).as('mean')
    const difference = maybe('Cast', op.Sub(x, mean))
    const square = either({ product: op.Mul(difference, difference), pow: op.Pow(difference, 2) })
    const variance = op.ReduceMean(square, rest()).as('variance')
    const scale = op.Mul(maybe('Cast', op.Reciprocal(op.Sqrt(op.Add(variance, scalar('epsilon'))))), any('gamma'))
    return op.Add(op.Mul(x, scale), op.Sub(any('beta'), op.Mul(mean, scale)))
  },
  check: ({ x, mean, variance, gamma, beta, root }) => {
    const axis = normalizedAxis(x, [mean.producer!, variance.producer!])
    if (axis instanceof Failure) return axis
    for (const operand of [gamma, beta]) {
      const verdict = isOperand(operand, x, axis)
      if (verdict !== true) return verdict
    }
    return x.dtype === root.dtype && x.dtype === gamma.dtype ? { axis } : no('changes the element type', root)
  },
  replace: ({ emit, constant, x, gamma, beta, axis, epsilon }) =>
    emit(x, flatOperand(gamma, axis, constant), flatOperand(beta, axis, constant), { axis, epsilon }),
})
