import { type Family, LAYER_NORMS } from './family.ts'

/** Encoders of sound with convolutions between their layers. */
export const conformer: Family = {
  types: ['conformer'],
  rules: [...LAYER_NORMS, 'gelu', 'bias-gelu', 'conv'],
  isLike: (traits) => traits.readsSound && traits.hasAttention && traits.has('Sigmoid'),
}
