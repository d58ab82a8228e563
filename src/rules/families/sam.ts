import { type Family, LAYER_NORMS } from './family.ts'

/** Segmentation of images: an encoder with windows, and a decoder with prompts. */
export const sam: Family = {
  types: ['sam2', 'sam'],
  rules: [...LAYER_NORMS, 'gelu', 'bias-gelu', 'conv'],
  isLike: (traits) => traits.hasInput(/image_embed|point_coords|point_labels|input_points/) && traits.hasAttention,
}
