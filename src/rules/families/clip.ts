import { type Family, LAYER_NORMS } from './family.ts'

/** Encoders of text or images with the activation x * sigmoid(1.702 x). */
export const clip: Family = {
  types: ['clip'],
  rules: [...LAYER_NORMS, 'gelu', 'bias-gelu', 'conv'],
  isLike: (traits) => traits.hasQuickGelu && traits.hasAttention,
}
