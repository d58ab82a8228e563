import { type Family, LAYER_NORMS } from './family.ts'

/** Like BERT with the weights of one layer for all. */
export const albert: Family = {
  types: ['albert'],
  rules: [...LAYER_NORMS, 'embed-layer-norm', 'gelu', 'bias-gelu'],
  isLike: (traits) => traits.readsTokens && traits.repeatsLayers && !traits.hasRmsNorm,
}
