import { type Family, RMS_NORMS } from './family.ts'

/** Like LLaMA, with RMS norms of query and key. */
export const qwen3: Family = {
  types: ['qwen3'],
  rules: [...RMS_NORMS, 'rotary-embedding'],
  isLike: (traits) => traits.readsTokens && traits.hasRotary && traits.normsHeads,
}
