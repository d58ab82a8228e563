import { type Rule, rule } from '../../rewrite/index.ts'

/** Not exact (differences up to 5e-4): runs only where asked for. */
export const geluApproximation: Rule = rule({
  name: 'gelu-approximation',
  doc: 'Gelu, BiasGelu -> FastGelu (on request: not exact)',
  emits: ['com.microsoft:FastGelu'],
  match: ({ op, ms, any, either }) =>
    either({
      standard: op.Gelu(any('x'), { approximate: 'none' }),
      microsoft: ms.Gelu(any('x')),
      bias: ms.BiasGelu(any('x'), any('bias')),
    }),
  replace: ({ emit, x, bias }) => emit(x, bias),
})
