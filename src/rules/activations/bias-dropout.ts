import { no, type Rule, rule, sameShape } from '../../rewrite/index.ts'
import { isBias } from './bias-gelu.ts'

/** Training graphs on CUDA; at inference a Dropout does nothing and is gone before. */
export const biasDropout: Rule = rule({
  name: 'bias-dropout',
  doc: 'Dropout(x + bias) -> BiasDropout',
  emits: ['com.microsoft:BiasDropout'],
  match: ({ op, any }) => op.Dropout(op.Add(any('x'), any('bias')), any('ratio'), any('training')),
  check: ({ x, bias }) => isBias(bias, x),
  replace: ({ create, emitted, x, bias, ratio, training, node }) =>
    create({ op: emitted, inputs: [x, bias, null, ratio, training], outputs: node.outputs.length }),
})

export const biasDropoutResidual: Rule = rule({
  name: 'bias-dropout-residual',
  doc: 'BiasDropout + residual -> BiasDropout',
  emits: ['com.microsoft:BiasDropout'],
  match: ({ op, ms, any, absent }) => {
    const dropped = ms.BiasDropout(any('x'), any('bias'), absent(), any('ratio'), any('training'))
    return op.Add(dropped, any('residual'))
  },
  check: ({ x, residual }) => sameShape(x.shape, residual.shape) || no('has not the shape of the input', residual),
  replace: ({ emit, x, bias, residual, ratio, training }) => emit(x, bias, residual, ratio, training),
})
