import type { Node } from '../../../graph/node.ts'
import type { Value } from '../../../graph/value.ts'
import { numberOf } from '../../../rewrite/index.ts'

/** True if adding this number to a score gives the number itself: then adding it is the same as putting it in the score's place. */
export function absorbs(fill: number, dtype: string | undefined): boolean {
  return fill <= (dtype === 'float16' ? -3e4 : -1e9)
}

/** How many values a condition may be made of. */
const CONDITION = 200

/**
 * True for a condition that follows from constants and sizes alone, as that of a causal mask does: every row sees something, so that
 * a fill of a few thousand is out of reach. (Rows that other masks hide as a whole are those of padding, which nothing reads.)
 */
export function isFixed(condition: Value): boolean {
  const seen = new Set<Value>([condition])
  for (const value of seen) {
    if (seen.size > CONDITION || (!value.producer && !value.constant)) return false
    if (value.producer && !value.producer.is('Shape') && !value.constant)
      for (const input of value.producer.inputs) if (input) seen.add(input)
  }
  return true
}

/** What may stand between such a term and the sum. */
const ON_THE_WAY = new Set([
  ...['Add', 'Sub', 'Mul', 'Div', 'Where', 'Cast', 'Identity'],
  ...['Reshape', 'Transpose', 'Squeeze', 'Unsqueeze', 'Expand', 'If'],
])

/**
 * True for scores with a term that picks elements by position out of a product, as disentangled attention (DeBERTa) does: what it
 * adds depends on query and key, and no operator of attention computes it.
 */
export function isDisentangled(scores: Value): boolean {
  const seen = new Set<Value>([scores])
  for (const { producer } of seen) {
    if (producer?.is('GatherElements')) return true
    if (seen.size > CONDITION || !ON_THE_WAY.has(producer?.opType ?? '')) continue
    for (const input of producer!.inputs) if (input && !input.constant) seen.add(input)
  }
  return false
}

/** True for an attention with a mask that minus infinity went into. */
export function isInfinite(attention: Node, bias: Value | undefined): boolean {
  const isOwn = attention.float('mask_filter_value', 0) === Number.NEGATIVE_INFINITY
  return isOwn || (!!bias && goesDownTo(Number.NEGATIVE_INFINITY, bias))
}

/** True if a number as low is among the constants that a mask is made of (or if they are too many to tell). */
export function goesDownTo(limit: number, mask: Value): boolean {
  const seen = new Set<Value>([mask])
  for (const value of seen) {
    if (seen.size > 2 * CONDITION) return true
    const number = numberOf(value)
    if (number !== undefined && number <= limit) return true
    if (!value.constant) for (const input of value.producer?.inputs ?? []) if (input) seen.add(input)
  }
  return false
}
