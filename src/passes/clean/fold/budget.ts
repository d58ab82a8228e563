import type { Node } from '../../../graph/node.ts'
import type { Value } from '../../../graph/value.ts'
import { nodeSize, tensorSize } from '../sizes.ts'
import { boundaryOf } from './foldable.ts'

/** Results in between may take this much memory, or a few times what the constants take that they come from. */
const LARGEST_BETWEEN = 1 << 24

/**
 * Those of the foldable `nodes` whose results take no more room in the file than what goes away with them: the nodes, and the
 * constants that nothing else reads. Where a whole group of connected nodes would make the model larger, its largest results
 * are left to the runtime, until the rest pays for itself.
 *
 * @param byteLength bytes of a result, undefined where they are not known: such nodes are not folded
 */
export function affordableNodes(nodes: Set<Node>, byteLength: (value: Value) => number | undefined): Set<Node> {
  const rest = new Set(nodes)
  const drop = (node: Node): void => {
    if (!rest.delete(node)) return
    for (const value of node.outputs) for (const use of value?.uses ?? []) drop(use.node)
  }
  for (const node of nodes) {
    const sizes = node.outputs.map((value) => (value ? byteLength(value) : 0))
    if (sizes.some((size) => size === undefined || size > mostBetween(node))) drop(node)
  }
  const affordable = new Set<Node>()
  for (const group of groupsOf(rest)) for (const node of shrink(group, byteLength)) affordable.add(node)
  return affordable
}

function mostBetween(node: Node): number {
  const inputs = node.inputs.reduce((sum, value) => sum + (value?.constant?.byteLength ?? 0), 0)
  return Math.max(LARGEST_BETWEEN, 4 * inputs)
}

/** Takes nodes off the end of a group until it pays. */
function shrink(group: Set<Node>, byteLength: (value: Value) => number | undefined): Set<Node> {
  while (group.size) {
    const boundary = boundaryOf(group).map((value) => ({
      value,
      size: tensorSize(byteLength(value)!, value.rank ?? 4, value.name),
    }))
    const cost = boundary.reduce((sum, { size }) => sum + size, 0)
    if (cost <= gainOf(group)) return group
    const worst = boundary.reduce((a, b) => (b.size > a.size ? b : a))
    group.delete(worst.value.producer!)
    const parts = groupsOf(group)
    if (parts.length > 1) {
      const kept = new Set<Node>()
      for (const part of parts) for (const node of shrink(part, byteLength)) kept.add(node)
      return kept
    }
  }
  return group
}

/** What leaves the file if the group is folded. */
function gainOf(group: ReadonlySet<Node>): number {
  let gain = 0
  const freed = new Set<Value>()
  for (const node of group) {
    gain += nodeSize(node)
    for (const value of node.inputs) {
      if (!value?.constant || freed.has(value) || value.isOutput) continue
      if ([...value.uses].every((use) => group.has(use.node))) freed.add(value)
    }
  }
  for (const value of freed) {
    const data = value.constant!
    gain += value.producer ? nodeSize(value.producer) : tensorSize(data.byteLength, data.dims.length, value.name)
  }
  return gain
}

/** Groups of nodes that are connected by values, or by constants that they share. */
function groupsOf(nodes: ReadonlySet<Node>): Set<Node>[] {
  const groups: Set<Node>[] = []
  const left = new Set(nodes)
  for (const first of nodes) {
    if (!left.delete(first)) continue
    const group = new Set([first])
    for (const node of group)
      for (const value of [...node.inputs, ...node.outputs]) {
        const near = value
          ? [...(value.producer ? [value.producer] : []), ...[...value.uses].map((use) => use.node)]
          : []
        for (const other of near) if (left.delete(other)) group.add(other)
      }
    groups.push(group)
  }
  return groups
}
