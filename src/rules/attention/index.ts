import type { Rule } from '../../rewrite/index.ts'
import { collapseViews } from './axes/collapse-views.ts'
import { maskIndex, maskRange, noMask, paddingMask } from './mask/padding.ts'
import { groupQuery, groupQueryAsked, groupQueryAskedPast, groupQueryPast } from './operators/group-query.ts'
import { multiHead } from './operators/multi-head.ts'
import { packed } from './operators/packed.ts'
import { packedKeyValue } from './operators/packed-kv.ts'
import { appendedKeys, past } from './operators/past.ts'
import { standardAttention, standardPast } from './operators/standard.ts'
import { einsum } from './prepare/einsum.ts'
import { einsumProjection, partedBias } from './prepare/einsum-projection.ts'
import { partedHeads } from './prepare/parted-heads.ts'
import { transposedProbabilities, weightedProbabilities } from './prepare/probabilities.ts'
import { sizes } from './prepare/sizes.ts'
import { rotaryJoined, rotarySum } from './rotary/index.ts'
import { rotaryWide } from './rotary/wide.ts'
import { sdpa } from './sdpa/index.ts'

export { checkHeads } from './heads.ts'
export { multiHead } from './operators/multi-head.ts'
export { plain as plainAttention } from './operators/plain.ts'
export { DISENTANGLED, sdpa as attention } from './sdpa/index.ts'

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
