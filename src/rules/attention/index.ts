import type { Rule } from '../../rewrite/index.ts'
import { einsum } from './einsum.ts'
import { einsumProjection, partedBias } from './einsum-projection.ts'
import { groupQuery, groupQueryAsked, groupQueryAskedPast, groupQueryPast } from './group-query.ts'
import { multiHead } from './multi-head.ts'
import { packed } from './packed.ts'
import { packedKeyValue } from './packed-kv.ts'
import { maskIndex, maskRange, noMask, paddingMask } from './padding-mask.ts'
import { partedHeads } from './parted-heads.ts'
import { appendedKeys, past } from './past.ts'
import { transposedProbabilities, weightedProbabilities } from './probabilities.ts'
import { rotaryJoined, rotarySum } from './rotary/index.ts'
import { rotaryWide } from './rotary/wide.ts'
import { sdpa } from './sdpa.ts'
import { sizes } from './sizes.ts'
import { standardAttention, standardPast } from './standard.ts'
import { collapseViews } from './views.ts'

export { checkHeads } from './heads.ts'
export { multiHead } from './multi-head.ts'
export { plain as plainAttention } from './plain.ts'
export { DISENTANGLED, sdpa as attention } from './sdpa.ts'

/**
 * Rules for attention, in phases: find it, choose what its mask becomes (what is not exact for every mask on request only), then an
 * operator for it, then clear what led in and out.
 */
export const attentionPhases: readonly { group: string; rules: readonly Rule[]; onRequest?: boolean }[] = [
  {
    group: 'attention',
    rules: [sizes, einsum, einsumProjection, partedBias, transposedProbabilities, weightedProbabilities],
  },
  { group: 'rotary-embedding', rules: [rotaryJoined] },
  { group: 'rotary-embedding', rules: [rotarySum, rotaryWide] },
  { group: 'attention', rules: [partedHeads] },
  { group: 'attention', rules: [sdpa] },
  { group: 'attention', rules: [appendedKeys, collapseViews, paddingMask] },
  { group: 'mask-index', rules: [maskIndex], onRequest: true },
  { group: 'mask-range', rules: [maskRange], onRequest: true },
  { group: 'mask-none', rules: [noMask], onRequest: true },
  { group: 'attention', rules: [standardPast, standardAttention] },
  { group: 'group-query-attention', rules: [groupQueryAskedPast, groupQueryAsked], onRequest: true },
  { group: 'attention', rules: [groupQueryPast, groupQuery] },
  { group: 'packed-kv', rules: [packedKeyValue], onRequest: true },
  { group: 'attention', rules: [packed, multiHead] },
  { group: 'attention', rules: [past] },
  { group: 'attention', rules: [collapseViews, sizes] },
  { group: 'attention', rules: [sizes] },
]
