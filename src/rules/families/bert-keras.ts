import { type Family, LAYER_NORMS } from './family.ts'

/** BERT as the converter of Keras writes it. */
export const bertKeras: Family = {
  types: ['bert_keras'],
  rules: [...LAYER_NORMS, 'embed-layer-norm', 'gelu', 'bias-gelu'],
  isLike: ({ producer, readsTokens }) => /keras/i.test(producer) && readsTokens,
}
