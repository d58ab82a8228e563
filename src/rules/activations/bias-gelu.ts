import type { Value } from '../../graph/value.ts'
import { type Failure, no, type Rule, rule, sameDim } from '../../rewrite/index.ts'

/** The operators take a bias with one number for each place of the last dimension. */
export function isBias(bias: Value, x: Value): true | Failure {
  if (bias.rank !== 1) return no('is no bias: it is not 1-D', bias)
  return (
    sameDim(bias.shape![0], x.shape?.at(-1)) || no(`is no bias: it has not the last dimension of "${x.name}"`, bias)
  )
}

export const biasGelu: Rule = rule({
  name: 'bias-gelu',
  doc: 'Gelu(x + bias) -> BiasGelu',
  emits: ['com.microsoft:BiasGelu'],
  match: ({ op, ms, any, either }) => {
    const sum = op.Add(any('x'), any('bias'))
    return either({ standard: op.Gelu(sum, { approximate: 'none' }), microsoft: ms.Gelu(sum) })
  },
  check: ({ x, bias }) => isBias(bias, x),
  replace: ({ emit, x, bias }) => emit(x, bias),
})

export const biasFastGelu: Rule = rule({
  name: 'bias-fast-gelu',
  doc: 'FastGelu(x + bias) -> FastGelu(x, bias)',
  emits: ['com.microsoft:FastGelu'],
  match: ({ op, ms, any, either }) => {
    const sum = op.Add(any('x'), any('bias'))
    return either({ standard: op.Gelu(sum, { approximate: 'tanh' }), microsoft: ms.FastGelu(sum) })
  },
  check: ({ x, bias }) => isBias(bias, x),
  replace: ({ emit, x, bias }) => emit(x, bias),
})
