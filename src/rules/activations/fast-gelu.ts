import { no, type Rule, rule } from '../../rewrite/index.ts'

/** Gelu's tanh approximation. The cube is `x^3` or `x*x*x`, and may be factored out as `x * (1 + 0.044715 * x * x)`. */
export const fastGelu: Rule = rule({
  name: 'fast-gelu',
  doc: '0.5 * x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x^3))) -> FastGelu, or Gelu(approximate=tanh)',
  emits: ['Gelu', 'com.microsoft:FastGelu'],
  match: ({ op, any, near, product, sum, either }) => {
    const x = any('x')
    const outer = near(Math.sqrt(2 / Math.PI), 1e-3)
    const inner = near(0.044715, 1e-3)
    const cubic = either({ pow: product(op.Pow(x, 3), inner), product: product(x, x, x, inner) })
    const square = either({ pow: product(op.Pow(x, 2), inner), product: product(x, x, inner) })
    const argument = either({ sum: product(sum(x, cubic), outer), factored: product(x, sum(square, 1), outer) })
    return op.Mul(x, op.Add(op.Tanh(argument), 1), 0.5)
  },
  check: ({ x }) => x.isFloat || no('is not a float tensor', x),
  replace: ({ emit, emitted, x }) => emit(x, { approximate: emitted === 'Gelu' ? 'tanh' : undefined }),
})
