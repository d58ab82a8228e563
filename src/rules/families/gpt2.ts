import { type Family, LAYER_NORMS, RMS_NORMS } from './family.ts'

/** Decoders of text with learnt positions. Other tools take it for decoders in general, so RMS norms are here too. */
export const gpt2: Family = {
  types: ['gpt2'],
  rules: [...LAYER_NORMS, ...RMS_NORMS, 'embed-layer-norm', 'gelu', 'bias-gelu', 'rotary-embedding'],
  isLike: ({ readsTokens, splitsProjection, hasRotary }) => readsTokens && splitsProjection && !hasRotary,
}
