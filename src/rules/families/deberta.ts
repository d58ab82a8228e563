import { type Family, LAYER_NORMS } from './family.ts'

/** Attention that depends on distances between query and key has no operator: norms and activations alone. */
export const deberta: Family = {
  types: ['deberta'],
  rules: [...LAYER_NORMS, 'gelu', 'bias-gelu'],
  isLike: (traits) => traits.readsTokens && traits.has('GatherElements') && traits.hasAttention,
}
