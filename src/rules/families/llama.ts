import { type Family, RMS_NORMS } from './family.ts'

/** Decoders with rotary positions and RMS norms. Mistral's and Qwen 2's differ in numbers alone. */
export const llama: Family = {
  types: ['llama', 'mistral', 'qwen2', 'qwen'],
  rules: [...RMS_NORMS, 'rotary-embedding'],
  isLike: ({ readsTokens, hasRotary, hasRmsNorm }) => readsTokens && hasRotary && hasRmsNorm,
}
