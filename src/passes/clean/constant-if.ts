import type { AttributeValue } from '../../graph/attributes.ts'
import type { Graph } from '../../graph/graph.ts'
import type { Node } from '../../graph/node.ts'
import type { Value } from '../../graph/value.ts'
import { isInFunction, isReturnedFromInside } from './constants.ts'
import { isStandard } from './determinism.ts'

/** Puts the branch that is always taken in the place of each If with a constant condition. Returns how many. */
export function inlineConstantIfs(graph: Graph): number {
  let changes = 0
  for (const node of graph.nodes()) {
    if (!isStandard(node) || node.opType !== 'If') continue
    const condition = node.input(0)?.constant
    if (condition?.dtype !== 'bool' || condition.elementCount !== 1) continue
    const branch = node.attributes.get(condition.bytes()[0] ? 'then_branch' : 'else_branch')
    if (branch?.kind !== 'graph' || !canInline(branch.value)) continue
    if (node.outputs.some((value) => value && isReturnedFromInside(value))) continue
    inline(node, branch.value)
    changes++
  }
  for (const node of graph.nodes()) for (const body of node.subgraphs) changes += inlineConstantIfs(body)
  return changes
}

/** Initializers can move only to a graph that has some, and sparse ones are just carried along. */
function canInline(branch: Graph): boolean {
  const initializers = [...branch.initializers]
  if (branch.inputs.length || initializers.some(({ sparse }) => sparse)) return false
  for (const graph of branch.allGraphs()) if (graph.outputs.some((value) => value.graph !== graph)) return false
  return !initializers.length || (!isInFunction(branch) && branch.model.initializersAreOverridable)
}

function inline(node: Node, branch: Graph): void {
  const { graph } = node
  const moved = new Map<Value, Value>()
  const move = (old: Value, fresh: Value): void => {
    moved.set(old, fresh)
    old.replaceUses(fresh)
  }
  for (const value of branch.initializers) move(value, graph.addInitializer(value.name, value.tensor!))
  branch.sort()
  for (const inner of [...branch.nodes()]) {
    const attributes: Record<string, AttributeValue> = {}
    for (const [name, value] of inner.attributes) attributes[name] = value
    const copy = graph.insert(
      {
        op: inner.opType,
        domain: inner.domain,
        inputs: inner.inputs,
        attributes,
        ...(inner.name ? { name: inner.name } : {}),
        outputs: inner.outputs.map((value) => (value ? value.name : null)),
        types: inner.outputs.map((value) => value?.type),
      },
      { before: node },
    )
    if (inner.extra) copy.extra = inner.extra
    for (const body of copy.subgraphs) body.owner = copy
    // The copy owns the subgraphs now: discarding the branch must not empty them.
    inner.attributes.clear()
    inner.outputs.forEach((value, i) => {
      if (value) move(value, copy.output(i))
    })
  }
  const results = branch.outputs.map((value) => moved.get(value)!)
  node.outputs.forEach((value, i) => {
    if (value) graph.replace(value, results[i]!)
  })
  graph.remove(node)
}
