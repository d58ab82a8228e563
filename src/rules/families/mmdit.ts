import { type Family, LAYER_NORMS, RMS_NORMS } from './family.ts'

/** Denoisers of patches, text and image in one attention. */
export const mmdit: Family = {
  types: ['mmdit'],
  rules: [...LAYER_NORMS, ...RMS_NORMS, 'gelu', 'bias-gelu', 'conv'],
  isLike: (traits) => traits.readsImages && !traits.hasGroupNorm && traits.hasInput(/timestep/) && traits.hasAttention,
}
