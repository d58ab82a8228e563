import { type Family, LAYER_NORMS } from './family.ts'

/** Decoders with rotary positions, LayerNormalization and the exact Gelu. */
export const gptNeox: Family = {
  types: ['gpt_neox'],
  rules: [...LAYER_NORMS, 'gelu', 'bias-gelu', 'rotary-embedding'],
  isLike: (traits) => traits.readsTokens && traits.hasRotary && !traits.hasRmsNorm,
}
