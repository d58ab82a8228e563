import { Failure, no, type Rule, rule } from '../../rewrite/index.ts'
import { flatOperand, isOperand, normalizedAxis } from './operands.ts'

/** Llama, T5 and their kin. Half-precision models enter float32 for the mean and leave it before or after the scale. */
export const rmsNorm: Rule = rule({
  name: 'rms-norm',
  doc: 'x / sqrt(mean(x^2) + epsilon) * gamma -> RMSNormalization or SimplifiedLayerNormalization',
  emits: ['RMSNormalization', 'SimplifiedLayerNormalization'],
  match: ({ op, any, scalar, rest, maybe, either }) => {
    const x = maybe('Cast', any('x')).shared()
    const square = either({ pow: op.Pow(x, 2), product: op.Mul(x, x) })
    const mean = op.ReduceMean(square, rest()).as('mean')
    const root = op.Sqrt(op.Add(mean, scalar('epsilon')))
    const inverse = either({
      reciprocal: op.Reciprocal(root),
      quotient: op.Div(1, root),
      pow: op.Pow(op.Add(mean, scalar('epsilon')), -0.5),
    })
    const normal = either({ quotient: op.Div(x, root), product: op.Mul(x, inverse) })
    return op.Mul(maybe('Cast', normal), any('gamma'))
  },
  check: ({ x, mean, gamma, root }) => {
    const axis = normalizedAxis(x, [mean.producer!])
    if (axis instanceof Failure) return axis
    const verdict = isOperand(gamma, x, axis)
    if (verdict !== true) return verdict
    return x.dtype === root.dtype && x.dtype === gamma.dtype ? { axis } : no('changes the element type', root)
  },
  replace: ({ emit, constant, x, gamma, axis, epsilon }) =>
    emit(x, flatOperand(gamma, axis, constant), { axis, epsilon, stash_type: 1 }),
})
