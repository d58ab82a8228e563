import { no, type Rule, rule } from '../../rewrite/index.ts'

/** x * sigmoid(a * x) for any a: CLIP's quick Gelu, and SiLU where a is 1. */
export const quickGelu: Rule = rule({
  name: 'quick-gelu',
  doc: 'x * sigmoid(alpha * x) -> QuickGelu',
  emits: ['com.microsoft:QuickGelu'],
  match: ({ op, any, scalar, product, either }) => {
    const x = any('x')
    return op.Mul(x, op.Sigmoid(either({ scaled: product(x, scalar('alpha')), plain: x })))
  },
  check: ({ x }) => x.isFloat || no('is not a float tensor', x),
  replace: ({ emit, x, alpha }) => emit(x, { alpha: alpha ?? 1 }),
})
