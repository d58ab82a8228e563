import type { Value } from '../../graph/value.ts'
import { no, type Rule, rule } from '../../rewrite/index.ts'
import { flat } from './multi-head.ts'
import { arrange, planOf, viewOf } from './view.ts'

/**
 * Keys and values that are appended to those of earlier steps: MultiHeadAttention does that itself, and gives the longer ones.
 * Where the new keys would have to be transposed for it (rotary positions, heads first) nothing is gained.
 */
export const past: Rule = rule({
  name: 'attention-past',
  doc: 'MultiHeadAttention(q, Concat(past, k), Concat(past, v)) -> MultiHeadAttention with past and present',
  emits: ['com.microsoft:MultiHeadAttention'],
  match: ({ op, ms, any, ifGiven, absent }) => {
    const keys = op.Concat(any('pastKey'), any('newKey'), { axis: isLength }).as('key').replaced()
    const values = op.Concat(any('pastValue'), any('newValue'), { axis: isLength }).as('value').replaced()
    return ms.MultiHeadAttention(any('query'), keys, values, absent(), ifGiven(any('mask')), ifGiven(any('bias')))
  },
  check: ({ newKey, newValue, pastKey, pastValue }) => {
    const [k, v] = [viewOf(newKey), viewOf(newValue)]
    if (!k || !v || newKey.rank !== 4 || newValue.rank !== 4) return no('has an unknown rank', newKey)
    if (planOf(k, flat(k)).moves || planOf(v, flat(v)).moves) return no('has its heads first', newKey)
    if (!isGiven(pastKey) || !isGiven(pastValue)) return no('is no past of earlier steps', pastKey)
    if (pastKey.rank !== 4 || pastValue.rank !== 4) return no('has an unknown rank', pastKey)
    return { k, v }
  },
  replace: (match) => {
    const { create, query, mask, bias, pastKey, pastValue, k, v, node, key, value } = match
    const [result, presentKey, presentValue] = create({
      op: 'com.microsoft:MultiHeadAttention',
      inputs: [query, arrange(match, k, flat(k)), arrange(match, v, flat(v)), null, mask, bias, pastKey, pastValue],
      attributes: Object.fromEntries(node.attributes),
      outputs: 3,
    })
    for (const [fresh, old] of [
      [presentKey!, key],
      [presentValue!, value],
    ] as const)
      fresh.type = old.type
    return { root: result!, key: presentKey!, value: presentValue! }
  },
})

function isLength(node: { int(name: string, fallback: number): number }): boolean {
  return [2, -2].includes(node.int('axis', 0))
}

/** True for an input of the graph, or a part of one. */
function isGiven(value: Value): boolean {
  const node = value.producer
  if (!node) return value.isInput
  return ['Gather', 'Split', 'Squeeze', 'Slice', 'Reshape', 'Identity'].includes(node.opType) && isGiven(node.input(0)!)
}
