import { type Family, LAYER_NORMS } from './family.ts'

/** Like BERT; embeddings are narrower than layers. */
export const electra: Family = {
  types: ['electra'],
  rules: [...LAYER_NORMS, 'embed-layer-norm', 'gelu', 'bias-gelu'],
  isLike: (traits) => traits.readsTokens && traits.projectsEmbeddings && traits.hasInput(/token_type/),
}
