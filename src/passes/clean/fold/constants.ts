import type { Graph } from '../../../graph/graph.ts'
import { Model } from '../../../graph/model.ts'
import type { Node } from '../../../graph/node.ts'
import type { Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import { OnnxError } from '../../../onnx/errors.ts'
import { refusedOperator } from '../../../ort/refused.ts'
import type { OrtService } from '../../../ort/service.ts'
import { canCross } from '../../../ort/tensors.ts'
import { replaceByConstant } from '../constants.ts'
import type { Facts } from '../facts.ts'
import { affordableNodes } from './budget.ts'
import { boundaryOf, foldableNodes } from './foldable.ts'

/**
 * Computes what depends on constants only, with ONNX Runtime: all nodes of a graph in one session. What would make the model
 * larger stays. `refused` collects nodes that ONNX Runtime can't run.
 */
export async function foldConstants(graph: Graph, facts: Facts, ort: OrtService, refused: Set<Node>): Promise<number> {
  let changes = 0
  for (;;) {
    const foldable = foldableNodes(graph, refused)
    if (!foldable.size) break
    if (!facts.isComplete) {
      facts.isWanted = true
      break
    }
    const nodes = affordable(foldable, facts)
    if (!nodes.size) break
    const boundary = boundaryOf(nodes)
    try {
      const results = await evaluate(graph, nodes, boundary, facts, ort)
      changes += replace(graph, boundary, results, refused)
    } catch (error) {
      if (!(error instanceof OnnxError)) throw error
      const operator = refusedOperator(error.message)
      const guilty = [...nodes].filter((node) => node.opType === operator)
      for (const node of guilty.length ? guilty : nodes) refused.add(node)
    }
  }
  for (const node of graph.nodes())
    for (const body of node.subgraphs) changes += await foldConstants(body, facts, ort, refused)
  return changes
}

/** Those of the foldable nodes whose results are worth their room. */
export function affordable(foldable: Set<Node>, facts: Facts): Set<Node> {
  return affordableNodes(foldable, (value) => (canCross(facts.dtype(value)) ? facts.byteLength(value) : undefined))
}

/** Runs `nodes` as a model of their own. */
async function evaluate(
  graph: Graph,
  nodes: ReadonlySet<Node>,
  boundary: readonly Value[],
  facts: Facts,
  ort: OrtService,
): Promise<Map<Value, Tensor>> {
  const part = new Model({ irVersion: Math.max(graph.model.irVersion, 8), opset: facts.opset(graph) })
  const copies = new Map<Value, Value>()
  const copyOf = (value: Value | null): Value | null => {
    if (!value) return null
    const copy = copies.get(value) ?? part.graph.addInitializer('constant', value.constant!)
    copies.set(value, copy)
    return copy
  }
  // The set is in no order.
  for (const node of graph.nodes()) {
    if (!nodes.has(node)) continue
    const copy = part.graph.insert({
      op: node.opType,
      inputs: node.inputs.map(copyOf),
      attributes: Object.fromEntries(node.attributes),
      outputs: node.outputs.map((value) => value && 'value'),
    })
    node.outputs.forEach((value, i) => {
      if (value) copies.set(value, copy.output(i))
    })
  }
  for (const value of boundary) part.graph.addOutput(copies.get(value)!)
  const results = await ort.evaluate(part)
  return new Map(boundary.map((value) => [value, results[copies.get(value)!.name]!]))
}

/** Puts results in the place of what computed them; the nodes before are dead code then. */
function replace(
  graph: Graph,
  boundary: readonly Value[],
  results: ReadonlyMap<Value, Tensor>,
  refused: Set<Node>,
): number {
  let changes = 0
  for (const value of boundary) {
    const node = value.producer!
    const data = results.get(value)
    if (!data) {
      refused.add(node)
      continue
    }
    replaceByConstant(node, value, data)
    changes++
  }
  for (const value of boundary) {
    const node = value.producer!
    if (node.isLinked && node.outputs.every((output) => !output || output.isUnused)) graph.remove(node)
  }
  return changes
}
