import { type Family, LAYER_NORMS } from './family.ts'

/** Encoders of text with positions relative to each other, [length, batch, hidden] inside. Nothing in a graph tells them from BERT. */
export const tnlr: Family = {
  types: ['tnlr'],
  rules: [...LAYER_NORMS, 'gelu', 'bias-gelu'],
  isLike: () => false,
}
