import { Failure, type Rule, rule } from '../../rewrite/index.ts'
import { ACTIVATIONS, activationParameters } from '../activations/kernels.ts'

const [first, ...others] = ACTIVATIONS.filter((name) => name !== 'Clip')

/** ONNX Runtime does the same when it loads a model. */
export const gemmActivation: Rule = rule({
  name: 'gemm-activation',
  doc: 'Relu, Sigmoid, Tanh, LeakyRelu or HardSigmoid of Gemm -> FusedGemm',
  emits: ['com.microsoft:FusedGemm'],
  match: ({ op, oneOf, any, rest }) => oneOf([first!, ...others], op.Gemm(any('a'), rest()).as('gemm')),
  check: ({ node }) => {
    const parameters = activationParameters(node)
    return parameters instanceof Failure ? parameters : { alpha: parameters[0], beta: parameters[1] }
  },
  replace: ({ create, emitted, gemm, node, alpha, beta }) => {
    const { attributes, inputs } = gemm.producer!
    const activation = { activation: node.opType, activation_alpha: alpha, activation_beta: beta }
    return create({ op: emitted, inputs, attributes: { ...Object.fromEntries(attributes), ...activation } })
  },
})
