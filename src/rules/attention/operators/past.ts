import { tensorType, type ValueType } from '../../../graph/types.ts'
import type { Value } from '../../../graph/value.ts'
import { type Failure, no, type Rule, rule } from '../../../rewrite/index.ts'
import { arrange, planOf } from '../axes/arrange.ts'
import { viewOf } from '../axes/view.ts'
import { flat } from './multi-head.ts'

/** Keys and values of earlier steps, [batch, heads, length, size], and those of this step, which are appended to them. */
export interface Past {
  pastKey: Value
  pastValue: Value
  newKey: Value
  newValue: Value
}

/**
 * Keys and values that are appended to those of earlier steps: MultiHeadAttention does that itself, and gives the longer ones.
 * Where the new keys would have to be transposed for it (heads first) nothing is gained.
 */
export const past: Rule = rule({
  name: 'attention-past',
  lifts: true,
  doc: 'MultiHeadAttention(q, Concat(past, k), Concat(past, v)) -> MultiHeadAttention with past and present',
  emits: ['com.microsoft:MultiHeadAttention'],
  match: ({ op, ms, any, ifGiven, absent }) => {
    const keys = op.Concat(any('pastKey'), any('newKey'), { axis: isLength }).as('key').replaced()
    const values = op.Concat(any('pastValue'), any('newValue'), { axis: isLength }).as('value').replaced()
    return ms.MultiHeadAttention(any('query'), keys, values, absent(), ifGiven(any('mask')), ifGiven(any('bias')))
  },
  check: (match) => {
    const appended = isAppended(match)
    if (appended !== true) return appended
    const [k, v] = [viewOf(match.newKey)!, viewOf(match.newValue)!]
    if (planOf(k, flat(k)).moves || planOf(v, flat(v)).moves) return no('has its heads first', match.newKey)
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

/** Keys that are appended while they lie transposed, [batch, heads, size, length]: the other way about, transposes cancel out. */
export const appendedKeys: Rule = rule({
  name: 'appended-keys',
  doc: 'Concat of transposed keys along the last axis -> transposed Concat of keys',
  match: ({ op, any }) => op.Concat(any('pastKey'), any('newKey'), { axis: isLast }),
  check: ({ root, pastKey, newKey }) => {
    if (root.rank !== 4 || root.isOutput) return no('has an unknown rank', root)
    const turned = [pastKey, newKey].find((part) => !part.producer?.is('Transpose'))
    if (turned) return no('is not transposed', turned)
    const reader = root.users.find((node) => !(node.is('Transpose') && `${node.ints('perm')}` === `${TURN}`))
    return reader ? no('is read as it is', reader) : true
  },
  replace: ({ op, pastKey, newKey, root }) => {
    const turned = (type: Value): ValueType =>
      tensorType(root.dtype, type.shape && TURN.map((axis) => type.shape![axis]!))
    const parts = [pastKey, newKey].map((part) => {
      const turn = op.Transpose(part, { perm: TURN })
      turn.type = turned(part)
      return turn
    })
    const joined = op.Concat(...parts, { axis: 2 })
    joined.type = turned(root)
    return op.Transpose(joined, { perm: TURN })
  },
})

const TURN = [0, 1, 3, 2]

/** Whether keys and values are appended to what earlier steps left. */
export function isAppended({ pastKey, pastValue, newKey, newValue }: Past): true | Failure {
  if (!isGiven(pastKey) || !isGiven(pastValue)) return no('is no past of earlier steps', pastKey)
  const open = [newKey, newValue, pastKey, pastValue].find((operand) => operand.rank !== 4)
  return open ? no('has an unknown rank', open) : true
}

/** For the attribute `axis` of a Concat of [batch, heads, length, size]. */
export function isLength(node: { int(name: string, fallback: number): number }): boolean {
  return [2, -2].includes(node.int('axis', 0))
}

function isLast(node: { int(name: string, fallback: number): number }): boolean {
  return [3, -1].includes(node.int('axis', 0))
}

/** True for an input of the graph, or a part of one. */
function isGiven(value: Value): boolean {
  const node = value.producer
  if (!node) return value.isInput
  return ['Gather', 'Split', 'Squeeze', 'Slice', 'Reshape', 'Identity'].includes(node.opType) && isGiven(node.input(0)!)
}
