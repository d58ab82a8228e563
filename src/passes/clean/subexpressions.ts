import type { Graph } from '../../graph/graph.ts'
import type { Node } from '../../graph/node.ts'
import type { Value } from '../../graph/value.ts'
import { isReturnedFromInside } from './constants.ts'
import { isDeterministic } from './determinism.ts'
import { attributesKey } from './fingerprint.ts'

/** Each DequantizeLinear belongs to one reader, so that runtimes see the quantized operator around it. */
const KEPT_APART = new Set(['Constant', 'DequantizeLinear', 'QuantizeLinear'])

/** Computes once what several nodes of a graph compute from the same inputs. Returns how many nodes went. */
export function mergeSubexpressions(graph: Graph): number {
  graph.sort()
  let changes = 0
  const ids = new Map<Value, number>()
  const id = (value: Value | null): string => {
    if (!value) return '-'
    const number = ids.get(value) ?? ids.size
    ids.set(value, number)
    return String(number)
  }
  const seen = new Map<string, Node>()
  for (const node of graph.nodes()) {
    if (!isDeterministic(node) || KEPT_APART.has(node.opType) || node.outputs.every((value) => !value)) continue
    const attributes = attributesKey(node)
    if (attributes === undefined) continue
    const key = [
      node.qualifiedType,
      node.extra?.overload ?? '',
      node.inputs.map(id).join(','),
      node.outputs.map((value) => (value ? 'x' : '-')).join(''), // how many parts a Split makes
      attributes,
    ].join('|')
    const first = seen.get(key)
    if (!first) seen.set(key, node)
    else if (merge(graph, first, node)) changes++
  }
  for (const node of graph.nodes()) for (const body of node.subgraphs) changes += mergeSubexpressions(body)
  return changes
}

/** Lets `first` do the work of `second` too. Two outputs of a graph can't be one value: then both stay. */
function merge(graph: Graph, first: Node, second: Node): boolean {
  const pairs = second.outputs.flatMap((value, i) => (value ? [[value, first.output(i)] as const] : []))
  if (pairs.some(([old, kept]) => (old.isOutput && kept.isOutput) || isReturnedFromInside(old))) return false
  for (const [old, kept] of pairs) graph.replace(old, kept)
  graph.remove(second)
  return true
}
