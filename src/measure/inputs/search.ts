import type { Node } from '../../graph/node.ts'
import type { Value } from '../../graph/value.ts'
import { tableSize } from './tables.ts'

/** What inputs of operators that generate text mean, by their place. */
const INPUTS: Readonly<Record<string, readonly string[]>> = {
  BeamSearch: [
    ...['ids', 'longest', 'shortest', 'beams', 'results', 'penalty', 'penalty', 'allowed', 'allowed', 'mask'],
  ],
  WhisperBeamSearch: [
    'features',
    'longest',
    'shortest',
    'beams',
    'results',
    'penalty',
    'penalty',
    'allowed',
    'allowed',
  ],
  GreedySearch: ['ids', 'longest', 'shortest', 'penalty', 'allowed', 'allowed', 'mask'],
  Sampling: ['ids', 'longest', 'shortest', 'penalty', 'allowed', 'allowed', 'mask', 'presence', 'seed'],
}

/** Tokens that are generated beyond those given. */
const MORE = 8

/**
 * The number that an input of BeamSearch and its like is filled with; undefined for other inputs, and for those that are made
 * as usual.
 *
 * @param longest the size of sequences elsewhere among the inputs
 */
export function searchSetting(input: Value, longest: number): number | undefined {
  switch (roleOf(input)?.role) {
    case 'longest':
      return longest + MORE
    case 'beams':
      return 2
    case 'shortest':
    case 'results':
    case 'penalty':
    case 'allowed':
    case 'seed':
      return 1
    case 'presence':
      return 0
    default:
      return undefined
  }
}

/** How many tokens a search knows, if an input gives it tokens: its own word, or the table that its body looks them up in. */
export function searchVocabulary(input: Value): number | undefined {
  const found = roleOf(input)
  if (found?.role !== 'ids') return undefined
  const own = found.node.int('vocab_size', -1)
  if (own > 0) return own
  const sizes = found.node.subgraphs.flatMap(({ inputs: [ids] }) => (ids && tableSize(ids)) ?? [])
  return sizes.length ? Math.min(...sizes) : undefined
}

function roleOf(input: Value): { node: Node; role: string } | undefined {
  for (const { node, index } of input.uses) {
    const role = node.domain === 'com.microsoft' ? INPUTS[node.opType]?.[index] : undefined
    if (role) return { node, role }
  }
  return undefined
}
