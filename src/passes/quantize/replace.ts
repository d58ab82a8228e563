import type { Node } from '../../graph/node.ts'
import type { Value } from '../../graph/value.ts'

/** Puts `fresh` in the place of the only output that `node` has in use, under its name, and removes the node. */
export function replaceNode(node: Node, fresh: Value, index = 0): void {
  const { graph } = node
  const old = node.output(index)
  const { name, type, extra, isOutput, isDeclared } = old
  graph.replace(old, fresh)
  graph.remove(node)
  if (isOutput) return
  fresh.name = name
  if (type) fresh.type = type
  fresh.extra = extra
  if (isDeclared) graph.declare(fresh)
}
