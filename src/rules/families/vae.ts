import type { Family } from './family.ts'

/** Encoders and decoders of images for denoisers. */
export const vae: Family = {
  types: ['vae'],
  rules: ['conv', 'group-norm', 'skip-group-norm'],
  also: ['nhwc-conv'],
  isLike: ({ readsImages, hasGroupNorm, hasAttention }) => readsImages && hasGroupNorm && hasAttention,
}
