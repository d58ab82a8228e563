import type { Graph } from '../../graph/graph.ts'
import type { Node } from '../../graph/node.ts'
import type { Value } from '../../graph/value.ts'
import { ignoringInvalid, isReturnedFromInside } from './constants.ts'
import { hasReference, isStandard } from './determinism.ts'
import { eliminations } from './eliminations/index.ts'
import type { Facts } from './facts.ts'

/** One kind of operator that may do nothing. */
export interface Elimination {
  /** Operators of the standard domain that it looks at. */
  readonly ops: readonly string[]
  /**
   * The value that equals the node's first output, whatever the inputs are; undefined if there is none or it is not certain. Rules ask
   * for facts last: each question that can't be answered may cost a session.
   */
  find(node: Node, facts: Facts): Value | undefined
}

const byOperator = new Map<string, Elimination[]>()
for (const elimination of eliminations)
  for (const op of elimination.ops) byOperator.set(op, [...(byOperator.get(op) ?? []), elimination])

/** Removes nodes whose result equals one of their inputs. Returns how many. */
export function eliminateNoOps(graph: Graph, facts: Facts): number {
  let changes = 0
  for (const node of graph.nodes()) {
    const same = equalOf(node, facts)
    if (!same) continue
    graph.replace(node.output(), same)
    graph.remove(node)
    changes++
  }
  return changes
}

/** The value that could take the place of the node, if there is one. */
export function equalOf(node: Node, facts: Facts): Value | undefined {
  const candidates = isStandard(node) ? byOperator.get(node.opType) : undefined
  if (!candidates || hasReference(node)) return undefined
  const [result, ...others] = node.outputs
  if (!result || isReturnedFromInside(result) || others.some((value) => value && !value.isUnused)) return undefined
  if (node.opType === 'Identity' && !canGo(result, node.input(0))) return undefined
  for (const { find } of candidates) {
    const same = ignoringInvalid(() => find(node, facts))
    if (same && same !== result) return same
  }
  return undefined
}

/** An Identity between a graph output and a value that can't be that output itself has to stay. */
function canGo(result: Value, source: Value | undefined): boolean {
  if (!result.isOutput) return true
  return source?.graph === result.graph && !!source.producer && !source.isOutput && !source.isInput
}
