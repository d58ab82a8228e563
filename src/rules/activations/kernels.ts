import type { Node } from '../../graph/node.ts'
import { type Failure, no, numberOf } from '../../rewrite/index.ts'

/** Activations that ONNX Runtime's fused kernels compute, and their numeric parameters in the order of the kernels. */
export const ACTIVATIONS = ['Relu', 'Sigmoid', 'Tanh', 'LeakyRelu', 'HardSigmoid', 'Clip'] as const

/** The parameters of an activation node. */
export function activationParameters(node: Node): number[] | Failure {
  switch (node.opType) {
    case 'LeakyRelu':
      return [node.float('alpha', 0.01)]
    case 'HardSigmoid':
      return [node.float('alpha', 0.2), node.float('beta', 0.5)]
    case 'Clip': {
      const bound = (index: number, attribute: string, fallback: number): number | undefined =>
        node.input(index) ? numberOf(node.input(index)) : node.float(attribute, fallback)
      const [least, most] = [bound(1, 'min', -3.4028234663852886e38), bound(2, 'max', 3.4028234663852886e38)]
      return least === undefined || most === undefined ? no('has bounds that are not constant', node) : [least, most]
    }
    default:
      return []
  }
}
