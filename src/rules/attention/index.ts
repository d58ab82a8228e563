import type { Rule } from '../../rewrite/index.ts'
import { multiHead } from './multi-head.ts'
import { packed } from './packed.ts'
import { sdpa } from './sdpa.ts'
import { sizes } from './sizes.ts'
import { collapseViews } from './views.ts'

export { checkHeads } from './heads.ts'
export { plain as plainAttention } from './plain.ts'

/** Rules for attention, in phases: find it, then choose an operator for it, then clear what led in and out. */
export const attentionPhases: readonly (readonly Rule[])[] = [
  [sizes],
  [sdpa],
  [collapseViews],
  [packed, multiHead],
  [collapseViews, sizes],
]
