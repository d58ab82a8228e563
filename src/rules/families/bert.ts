import { type Family, LAYER_NORMS } from './family.ts'

/** Encoders of text with embeddings of words, positions and segments. */
export const bert: Family = {
  types: ['bert'],
  rules: [...LAYER_NORMS, 'embed-layer-norm', 'gelu', 'bias-gelu'],
  isLike: ({ readsTokens, hasAttention }) => readsTokens && hasAttention,
}
