import { Node } from '../graph/node.ts'
import { describeType } from '../graph/types.ts'
import type { Value } from '../graph/value.ts'
import { constantOf, uniformNumber } from './constants.ts'
import { describePattern } from './pattern.ts'
import type { Rule } from './rule.ts'
import { keyOf, type Miss } from './search.ts'

/** How far a rule came at one place, and what stopped it. Plain data. */
export interface NearMiss {
  rule: string
  /** Nodes of the pattern that matched there, of how many. */
  matched: number
  total: number
  /** Where the pattern's root would be. */
  anchor: string
  /** The node (or value) that did not fit. */
  at: string
  /** Why, in words. */
  reason: string
  /** All of that in one line. */
  message: string
}

/** A report of the furthest that a search got at `anchor`. */
export function nearMiss(rule: Rule, anchor: Node, miss: Miss): NearMiss {
  const about = miss.failure?.about ?? miss.value ?? anchor
  const at = placeOf(about)
  const reason = miss.failure
    ? `${about instanceof Node ? '' : `"${about.name}" `}${miss.failure.reason}`
    : `expected ${miss.pattern ? describePattern(miss.pattern) : 'something else'}, found ${describeValue(miss.value)}`
  const matched = Math.min(miss.matched, rule.size)
  return {
    rule: rule.name,
    matched,
    total: rule.size,
    anchor: anchor.label,
    at,
    reason,
    message: `${rule.name}: ${matched} of ${rule.size} nodes; at ${at}: ${reason}`,
  }
}

function placeOf(about: Value | Node): string {
  if (about instanceof Node) return about.label
  return about.producer?.label ?? `"${about.name}"`
}

/** A value in words: what computes it, or what kind of constant or input it is. */
export function describeValue(value: Value | undefined): string {
  if (!value) return 'nothing'
  const tensor = constantOf(value)
  if (tensor) {
    const number = uniformNumber(tensor)
    return `a constant [${tensor.dims}]${number === undefined ? '' : ` of ${Number(number.toPrecision(6))}`}`
  }
  if (value.isInput) return `the input "${value.name}"`
  if (value.producer) return `${keyOf(value.producer)} (${value.producer.label})`
  return `${describeType(value.type)} "${value.name}"`
}
