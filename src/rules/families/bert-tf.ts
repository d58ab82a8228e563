import { type Family, LAYER_NORMS } from './family.ts'

/** BERT as TensorFlow's converter writes it. */
export const bertTf: Family = {
  types: ['bert_tf'],
  rules: [...LAYER_NORMS, 'embed-layer-norm', 'gelu', 'bias-gelu'],
  isLike: ({ producer, readsTokens }) => /tf2onnx/.test(producer) && readsTokens,
}
