import { no, type Rule, rule, sameShape } from '../../rewrite/index.ts'

/** Sizes of the last dimension that the kernels of ONNX Runtime for CUDA and WebGPU take; they fail for others. */
const CHANNELS = [320, 640, 1280]

/** Runs after the fusions that take a bias along: what is left is the end of a block in a diffusion model. */
export const biasAdd: Rule = rule({
  name: 'bias-add',
  doc: 'MatMul + bias + residual -> BiasAdd',
  emits: ['com.microsoft:BiasAdd'],
  match: ({ op, any, constant }) => op.Add(op.Add(op.MatMul(any(), any()).as('x'), constant('bias')), any('skip')),
  check: ({ x, bias, skip }) => {
    if (x.rank !== 3) return no('is not of rank 3', x)
    const channels = x.shape![2]
    if (typeof channels !== 'number' || !CHANNELS.includes(channels))
      return no(`has ${channels ?? 'an unknown number of'} channels; the kernels take ${CHANNELS.join(', ')}`, x)
    if (bias.shape?.length !== 1 || bias.shape[0] !== channels) return no('is not one number per channel', bias)
    return sameShape(x.shape, skip.shape) || no('has not the shape of the sum', skip)
  },
  replace: ({ emit, x, bias, skip }) => emit(x, bias, skip),
})
