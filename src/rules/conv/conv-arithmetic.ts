import { Failure, type Rule, rule } from '../../rewrite/index.ts'
import { batchNorm, perChannel } from '../weights.ts'
import { convolution, scaled } from './scale.ts'

const CONVOLUTIONS = ['Conv', 'ConvTranspose']

export const convMul: Rule = rule({
  name: 'conv-mul',
  doc: 'Conv * constant per channel -> Conv with scaled weights',
  match: ({ op, oneOf, any, constant, rest, either }) => {
    const conv = oneOf(CONVOLUTIONS, any('x'), constant('weight'), rest()).as('conv')
    return either('form', { product: op.Mul(conv, constant('factor')), quotient: op.Div(conv, constant('factor')) })
  },
  check: ({ conv, factor, form }) => {
    const convolved = convolution(conv.producer!)
    if (convolved instanceof Failure) return convolved
    const numbers = perChannel(factor, convolved.channels, convolved.weights.dims.length)
    if (numbers instanceof Failure) return numbers
    return { convolved, numbers: form === 'product' ? numbers : numbers.map((number) => 1 / number) }
  },
  replace: ({ convolved, numbers, ...build }) => scaled(convolved, numbers, undefined, build),
})

export const convAdd: Rule = rule({
  name: 'conv-add',
  doc: 'Conv + constant per channel -> Conv with a bias',
  match: ({ op, oneOf, any, constant, rest, either }) => {
    const conv = oneOf(CONVOLUTIONS, any('x'), constant('weight'), rest()).as('conv')
    return either('form', { sum: op.Add(conv, constant('term')), difference: op.Sub(conv, constant('term')) })
  },
  check: ({ conv, term, form }) => {
    const convolved = convolution(conv.producer!)
    if (convolved instanceof Failure) return convolved
    const numbers = perChannel(term, convolved.channels, convolved.weights.dims.length)
    if (numbers instanceof Failure) return numbers
    return { convolved, numbers: form === 'sum' ? numbers : numbers.map((number) => -number) }
  },
  replace: ({ convolved, numbers, ...build }) => scaled(convolved, undefined, numbers, build),
})

export const convBatchNorm: Rule = rule({
  name: 'conv-batch-norm',
  doc: 'BatchNormalization(Conv) -> Conv',
  match: ({ op, oneOf, any, constant, rest }) =>
    op.BatchNormalization(oneOf(CONVOLUTIONS, any('x'), constant('weight'), rest()).as('conv'), rest()),
  check: ({ conv, node }) => {
    const convolved = convolution(conv.producer!)
    if (convolved instanceof Failure) return convolved
    const normalized = batchNorm(node)
    return normalized instanceof Failure ? normalized : { convolved, ...normalized }
  },
  replace: ({ convolved, factor, shift, ...build }) => scaled(convolved, factor, shift, build),
})
