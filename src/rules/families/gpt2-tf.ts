import { type Family, LAYER_NORMS } from './family.ts'

/** GPT-2 as TensorFlow's converter writes it. */
export const gpt2Tf: Family = {
  types: ['gpt2_tf'],
  rules: [...LAYER_NORMS, 'embed-layer-norm', 'gelu', 'bias-gelu'],
  isLike: ({ producer, readsTokens, splitsProjection }) => /tf2onnx/.test(producer) && readsTokens && splitsProjection,
}
