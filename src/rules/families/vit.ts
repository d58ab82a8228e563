import { type Family, LAYER_NORMS } from './family.ts'

/** Encoders of images cut into patches. */
export const vit: Family = {
  types: ['vit'],
  rules: [...LAYER_NORMS, 'gelu', 'bias-gelu', 'conv'],
  isLike: ({ readsImages, cutsPatches, hasAttention }) => readsImages && cutsPatches && hasAttention,
}
