import type { GraphProto, NodeProto, TypeProto, ValueInfoProto } from '../../onnx/proto.ts'

/** The type that a value is given with instead of its producer; undefined: the producer comes along. */
export type Given = (name: string, producer: NodeProto) => TypeProto | undefined

/**
 * A function that takes parts out of a graph: the nodes it is called with and those they depend on, back to inputs,
 * initializers and values whose type is given, which become inputs. Subgraphs travel with their node, and what they read of
 * the graph around them counts as read by it. The part has no outputs yet.
 */
export function partsOf(graph: GraphProto): (nodes: Iterable<NodeProto>, given: Given) => GraphProto {
  const order = new Map(graph.node!.map((node, i) => [node, i]))
  const producers = new Map(graph.node!.flatMap((node) => node.output!.map((name) => [name, node] as const)))
  const inputs = new Map((graph.input ?? []).map((info) => [info.name!, info]))
  const initializers = new Map((graph.initializer ?? []).map((tensor) => [tensor.name!, tensor]))
  return (nodes, given) => {
    const chosen = new Set(nodes)
    const made = new Set([...chosen].flatMap(({ output }) => output!))
    const read = new Set([...chosen].flatMap((node) => [...readsOf(node)]))
    const input = new Map<string, ValueInfoProto>()
    const initializer = []
    for (const name of read) {
      const tensor = initializers.get(name)
      if (tensor) initializer.push(tensor)
      const info = inputs.get(name)
      if (info) input.set(name, info)
      const producer = producers.get(name)
      if (!producer || name === '' || made.has(name)) continue
      const type = given(name, producer)
      if (type) {
        input.set(name, { name, type })
        continue
      }
      chosen.add(producer)
      for (const each of producer.output!) made.add(each)
      for (const each of readsOf(producer)) read.add(each)
    }
    for (const name of made) input.delete(name)
    const node = [...chosen].sort((a, b) => order.get(a)! - order.get(b)!)
    return { ...graph, input: [...input.values()], initializer, node, output: [] }
  }
}

/** Names that a node and its subgraphs read, among them some that only exist inside. */
export function* readsOf(node: NodeProto): Generator<string> {
  yield* node.input ?? []
  for (const body of bodiesOf(node)) {
    for (const inner of body.node ?? []) yield* readsOf(inner)
    for (const { name } of body.output ?? []) if (name) yield name
  }
}

/** The subgraphs of a node, in the order of its attributes. */
export function bodiesOf(node: NodeProto): GraphProto[] {
  return (node.attribute ?? []).flatMap(({ g, graphs }) => [...(g ? [g] : []), ...(graphs ?? [])])
}
