import { type Family, LAYER_NORMS } from './family.ts'

/** Like BERT without segments. */
export const distilbert: Family = {
  types: ['distilbert'],
  rules: [...LAYER_NORMS, 'embed-layer-norm', 'gelu', 'bias-gelu'],
  isLike: (traits) => traits.readsTokens && traits.tables.length === 2 && !traits.has('Range'),
}
