import { Failure, type Rule, rule } from '../../rewrite/index.ts'
import { ACTIVATIONS, activationParameters } from '../activations/kernels.ts'

/** ONNX Runtime does the same when it loads a model. */
export const convActivation: Rule = rule({
  name: 'conv-activation',
  doc: 'Relu, Sigmoid, Tanh, LeakyRelu, HardSigmoid or Clip of Conv -> FusedConv',
  emits: ['com.microsoft:FusedConv'],
  match: ({ op, oneOf, any, rest }) => oneOf(ACTIVATIONS, op.Conv(any('x'), rest()).as('conv'), rest()),
  check: ({ node }) => {
    const parameters = activationParameters(node)
    return parameters instanceof Failure ? parameters : { parameters }
  },
  replace: ({ create, emitted, conv, node, parameters }) => {
    const { attributes, inputs } = conv.producer!
    const activation = { activation: node.opType, activation_params: parameters.length ? parameters : undefined }
    return create({ op: emitted, inputs, attributes: { ...Object.fromEntries(attributes), ...activation } })
  },
})
