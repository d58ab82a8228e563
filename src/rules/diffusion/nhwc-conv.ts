import { Tensor } from '../../graph/tensor.ts'
import { permute } from '../../kernels/index.ts'
import { Failure, no, type Rule, rule } from '../../rewrite/index.ts'
import { ownWeights } from '../weights.ts'
import { CHANNELS_FIRST, CHANNELS_LAST } from './group-norm.ts'

/**
 * Convolutions of images with the channels last, which tensor cores are made for. The weights become [out, height, width, in]; of
 * the Transposes those between neighbours cancel out.
 */
export const nhwcConv: Rule = rule({
  name: 'nhwc-conv',
  doc: 'Conv -> Transpose, NhwcConv, Transpose',
  emits: ['com.microsoft:NhwcConv'],
  match: ({ op, any, constant, ifGiven }) => op.Conv(any('x'), constant('weight'), ifGiven(any('bias'))),
  check: ({ node, weight }) => {
    const weights = ownWeights(weight)
    if (weights instanceof Failure) return weights
    if (weights.dims.length !== 4) return no('is no convolution of images', node)
    if (node.int('group', 1) !== 1) return no('is grouped', node)
    const [top = 0, left = 0, bottom = 0, right = 0] = node.ints('pads') ?? []
    if (top !== bottom || left !== right) return no('pads one side more than the other', node)
    const size = weights.byteLength / weights.elementCount
    return size === 2 || size === 4 ? { weights, size: size as 2 | 4 } : no(`has weights of ${weights.dtype}`, weight)
  },
  replace: ({ op, emit, constant, node, x, weight, bias, weights, size }) => {
    const { dims } = weights
    const bytes = permute(weights.bytes(), dims, CHANNELS_LAST, size)
    const turned = Tensor.of(
      weights.dtype!,
      CHANNELS_LAST.map((axis) => dims[axis]!),
      bytes,
    )
    const attributes = Object.fromEntries(node.attributes)
    const y = emit(op.Transpose(x, { perm: CHANNELS_LAST }), constant(turned, weight.name), bias, attributes)
    return op.Transpose(y, { perm: CHANNELS_FIRST })
  },
})
