import type { Value } from '../../graph/value.ts'
import { Failure, type Formula, no, type Pattern, type Rule, rule } from '../../rewrite/index.ts'
import { flatOperand, isOperand, normalizedAxis } from './operands.ts'

type Captures = Record<'x' | 'mean' | 'variance' | 'gamma' | 'beta', Value> & { epsilon: number }

/**
 * As PyTorch exports it. The difference may be computed twice, half precision may be left and entered again. Two norms of one
 * input, which differ in gamma and beta only, share all but their ends: each becomes an operator of its own.
 */
export function written({ op, any, scalar, rest, maybe, either, product }: Formula): Pattern<Captures> {
  const x = any('x')
  const mean = op.ReduceMean(x, rest()).as('mean').shared()
  const inner = maybe('Cast', op.Sub(x, mean).shared()).shared()
  const square = either({ pow: op.Pow(inner, 2).shared(), product: op.Mul(inner, inner).shared() })
  const variance = op.ReduceMean(square, rest()).as('variance').shared()
  const shifted = op.Add(variance, scalar('epsilon')).shared()
  const deviation = maybe('Cast', op.Sqrt(shifted).shared()).shared()
  const outer = maybe('Cast', op.Sub(x, mean).shared()).shared()
  const inverse = either({ reciprocal: op.Reciprocal(deviation).shared(), quotient: op.Div(1, deviation).shared() })
  const quotient = op.Div(outer, deviation).shared()
  const normal = maybe('Cast', either({ quotient, product: product(outer, inverse).shared() })).shared()
  return op.Add(op.Mul(normal, any('gamma')).shared(), any('beta'))
}

export const layerNorm: Rule = rule({
  name: 'layer-norm',
  doc: '(x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) * gamma + beta -> LayerNormalization',
  emits: ['LayerNormalization'],
  match: written,
  check: ({ x, mean, variance, gamma, beta, root }) => {
    const axis = normalizedAxis(x, [mean.producer!, variance.producer!])
    if (axis instanceof Failure) return axis
    for (const operand of [gamma, beta]) {
      const verdict = isOperand(operand, x, axis)
      if (verdict !== true) return verdict
      if (operand.dtype !== x.dtype) return no(`is ${operand.dtype}, but the input is ${x.dtype}`, operand)
    }
    return x.dtype === root.dtype ? { axis } : no('changes the element type', root)
  },
  replace: ({ emit, constant, x, gamma, beta, axis, epsilon }) =>
    emit(x, flatOperand(gamma, axis, constant), flatOperand(beta, axis, constant), { axis, epsilon }),
})
