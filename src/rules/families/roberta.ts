import { type Family, LAYER_NORMS } from './family.ts'

/** Like BERT; positions are counted where there is no padding, so that its embeddings are no operator. */
export const roberta: Family = {
  types: ['roberta'],
  rules: [...LAYER_NORMS, 'gelu', 'bias-gelu'],
  isLike: (traits) => traits.readsTokens && traits.has('CumSum') && !traits.hasRmsNorm && !traits.hasRotary,
}
