import { type Family, LAYER_NORMS } from './family.ts'

/** Encoders of images with attention in windows that move. */
export const swin: Family = {
  types: ['swin'],
  rules: [...LAYER_NORMS, 'gelu', 'bias-gelu', 'conv'],
  isLike: (traits) => traits.readsImages && traits.cutsPatches && traits.hasAttention && traits.partsWindows,
}
