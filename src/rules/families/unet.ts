import { type Family, LAYER_NORMS } from './family.ts'

/** Denoisers of images: convolutions, group norms, attention to themselves and to text. */
export const unet: Family = {
  types: ['unet'],
  rules: [...LAYER_NORMS, 'gelu', 'bias-gelu', 'conv', 'group-norm', 'skip-group-norm', 'bias-split-gelu', 'bias-add'],
  also: ['nhwc-conv', 'packed-kv'],
  isLike: (traits) => traits.readsImages && traits.hasGroupNorm && traits.hasInput(/timestep|encoder_hidden_states/),
}
