import { type Family, LAYER_NORMS } from './family.ts'

/** Decoders with rotary positions on a part of each head, LayerNormalization, and the Gelu by tanh. */
export const phi: Family = {
  types: ['phi'],
  rules: [...LAYER_NORMS, 'gelu', 'bias-gelu', 'rotary-embedding'],
  isLike: (traits) => traits.readsTokens && traits.hasRotary && !traits.hasRmsNorm && traits.hasTanhGelu,
}
