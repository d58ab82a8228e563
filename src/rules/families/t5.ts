import { type Family, RMS_NORMS } from './family.ts'

/** Encoders and decoders with RMS norms, and positions as a bias of attention by their distance. */
export const t5: Family = {
  types: ['t5'],
  rules: [...RMS_NORMS, 'gelu'],
  isLike: (traits) => traits.readsTokens && traits.hasRmsNorm && !traits.hasRotary && traits.has('Log'),
}
