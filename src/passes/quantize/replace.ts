import type { Node } from '../../graph/node.ts'
import type { Value } from '../../graph/value.ts'

/**
 * Puts values in the place of a node's outputs, under their names and with their declared types, and removes the node. Outputs of
 * the graph keep their type as the file states it, or states none.
 */
export function replaceNode(node: Node, ...fresh: readonly (Value | undefined)[]): void {
  const { graph } = node
  const renamed: (() => void)[] = []
  for (const [i, value] of fresh.entries()) {
    const old = node.outputs[i]
    if (!old || !value) continue
    const { name, type, extra, isOutput, isDeclared } = old
    graph.replace(old, value)
    if (isOutput) {
      const output = graph.outputs.find((candidate) => candidate.name === name)
      if (output && !type) output.type = undefined
    } else
      renamed.push(() => {
        value.name = name
        if (type) value.type = type
        value.extra = extra
        if (isDeclared) graph.declare(value)
      })
  }
  graph.remove(node)
  for (const rename of renamed) rename()
}
