import type { Node } from '../graph/node.ts'
import type { Value } from '../graph/value.ts'
import { Failure } from './pattern.ts'

/**
 * Why matched nodes can't go: a value inside the match is an output of the graph, or is read by a node that stays. Nodes that
 * may be shared stay in that case, and then keep what they read. Undefined if all is well.
 *
 * @param nodes matched nodes; true for those that may be shared
 * @param replaced values that the replacement takes over: they may be read anywhere
 */
export function findEscape(nodes: ReadonlyMap<Node, boolean>, replaced: ReadonlySet<Value>): Failure | undefined {
  const staying = new Set<Node>()
  for (let changed = true; changed; ) {
    changed = false
    for (const [node, mayStay] of nodes) {
      if (staying.has(node)) continue
      for (const output of node.outputs) {
        if (!output || replaced.has(output)) continue
        const failure = readerOutside(output, nodes, staying)
        if (!failure) continue
        if (!mayStay) return failure
        staying.add(node)
        changed = true
        break
      }
    }
  }
  return undefined
}

/** Says who else reads a value of the match. Identity nodes that only the match reads do not count. */
export function readerOutside(
  value: Value,
  nodes: ReadonlyMap<Node, boolean>,
  staying: ReadonlySet<Node> = new Set(),
): Failure | undefined {
  if (value.isOutput) return new Failure('is also an output of the graph', value)
  for (const { node } of value.uses) {
    if (nodes.has(node) && !staying.has(node)) continue
    if (node.is('Identity')) {
      const inner = readerOutside(node.output(), nodes, staying)
      if (!inner) continue
    }
    return new Failure(`is also read by ${node.label}`, value)
  }
  return undefined
}

/** Removes those of `nodes` that nothing needs any more, then what only they needed, constants included. */
export function removeUnused(nodes: Iterable<Node>): void {
  const waiting = [...nodes]
  for (let node = waiting.pop(); node; node = waiting.pop()) {
    if (!node.isLinked || node.outputs.some((value) => value && !value.isUnused)) continue
    const read = readBy(node)
    node.graph.remove(node)
    for (const value of read) {
      if (!value.isUnused) continue
      if (value.producer) waiting.push(value.producer)
      else if ((value.tensor || value.sparse) && !value.isInput) value.graph.removeInitializer(value)
    }
  }
}

/** What a node reads, its subgraphs included. */
function readBy(node: Node): Set<Value> {
  const read = new Set<Value>()
  const collect = (reader: Node): void => {
    for (const value of reader.inputs) if (value) read.add(value)
    for (const graph of reader.subgraphs) {
      for (const inner of graph.nodes()) collect(inner)
      for (const value of graph.outputs) read.add(value)
    }
  }
  collect(node)
  return read
}

/**
 * Moves new nodes so far up that they stand before every reader of the values they replace. What they read must stand above the
 * last of the replaced nodes, as the inputs of a match do, or (with `lifts`) go up with them.
 *
 * @returns why that is impossible, if it is
 */
export function moveUp(created: readonly Node[], replaced: readonly Value[], lifts: boolean): Failure | undefined {
  const graph = created[0]!.graph
  const own = new Set(created)
  const sources = new Set<Node>()
  const need = (node: Node): void => {
    for (const value of readBy(node))
      if (value.producer && value.graph === graph && !own.has(value.producer)) sources.add(value.producer)
  }
  for (const node of created) need(node)
  const open = new Set<Node>()
  for (const { producer } of replaced) if (producer && !own.has(producer)) open.add(producer)
  const carried: Node[] = []
  // Walking up from the last replaced node to the first source: every replaced node passed has all its readers below.
  let at: Node | undefined = [...open].reduce((last, node) => (precedes(last, node) ? node : last))
  for (; at && (open.size || !sources.has(at)); at = at.previous) {
    if (!sources.has(at)) open.delete(at)
    else if (!lifts || open.has(at) || replaced.some((value) => readBy(at!).has(value)))
      return new Failure('is needed before all inputs of its replacement are known', at.output())
    else {
      carried.unshift(at)
      need(at)
    }
  }
  for (const node of [...carried, ...created]) {
    graph.move(node, at ? { after: at } : { before: graph.firstNode === node ? node.next : graph.firstNode })
    at = node
  }
  return undefined
}

/** True if `a` stands before `b` in their graph. Costs their distance. */
function precedes(a: Node, b: Node): boolean {
  let [up, down]: (Node | undefined)[] = [a, a]
  while (up || down) {
    if (down === b) return true
    if (up === b) return false
    up = up?.previous
    down = down?.next
  }
  return false
}
