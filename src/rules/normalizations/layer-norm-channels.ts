import type { Value } from '../../graph/value.ts'
import { constantOf, integersFrom, no, type Rule, rule } from '../../rewrite/index.ts'
import { CHANNELS_FIRST, CHANNELS_LAST } from '../diffusion/group-norm.ts'
import { written } from './layer-norm.ts'

/** Norms over the channels of images, which come first: the operator wants them last. */
export const layerNormChannels: Rule = rule({
  name: 'layer-norm-channels',
  doc: 'LayerNormalization in primitives over axis 1 of images -> LayerNormalization between Transposes',
  emits: ['LayerNormalization'],
  match: written,
  check: ({ x, mean, variance, gamma, beta, root }) => {
    if (x.rank !== 4 || x.dtype !== root.dtype) return no('is no image', x)
    for (const { producer } of [mean, variance]) {
      const axes = integersFrom(producer!, 'axes', 1)
      const isChannels = axes?.length === 1 && (axes[0] === 1 || axes[0] === -3) && producer!.int('keepdims', 1) === 1
      if (!isChannels) return no('is not over the channels alone', producer)
    }
    const channels = x.shape![1]
    const vectors = [gamma, beta].map((operand: Value) => {
      const tensor = constantOf(operand)
      const fits = tensor && /^(1,)?\d+,1,1$/.test(tensor.dims.join()) && tensor.elementCount === channels
      return fits && tensor.dtype === x.dtype ? tensor.reshaped([tensor.elementCount]) : undefined
    })
    const [scale, shift] = vectors
    if (!scale || !shift) return no('is not one number for each channel', scale ? beta : gamma)
    return { scale, shift }
  },
  replace: ({ op, emit, constant, x, gamma, beta, scale, shift, epsilon }) => {
    const last = op.Transpose(x, { perm: CHANNELS_LAST })
    const normal = emit(last, constant(scale, gamma.name), constant(shift, beta.name), { axis: -1, epsilon })
    return op.Transpose(normal, { perm: CHANNELS_FIRST })
  },
})
