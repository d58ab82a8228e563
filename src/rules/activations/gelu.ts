import { no, type Rule, rule } from '../../rewrite/index.ts'

/** The exact Gelu as exporters write it: in any grouping, with 1/√2 as factor or √2 as divisor. */
export const gelu: Rule = rule({
  name: 'gelu',
  doc: 'x * 0.5 * (1 + erf(x / sqrt(2))) -> Gelu',
  emits: ['Gelu', 'com.microsoft:Gelu'],
  match: ({ op, any, near, product }) => {
    const x = any('x')
    return op.Mul(x, op.Add(op.Erf(product(x, near(Math.SQRT1_2, 1e-3))), 1), 0.5)
  },
  check: ({ x }) => x.isFloat || no('is not a float tensor', x),
  replace: ({ emit, x }) => emit(x),
})
