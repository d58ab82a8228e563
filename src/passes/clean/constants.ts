import { tensor as tensorAttribute } from '../../graph/attributes.ts'
import type { Graph } from '../../graph/graph.ts'
import type { Node } from '../../graph/node.ts'
import type { Tensor } from '../../graph/tensor.ts'
import type { Value } from '../../graph/value.ts'
import { OnnxError } from '../../onnx/errors.ts'

/** True if the graph is, or lies in, the body of a local function: those have no initializers. */
export function isInFunction(graph: Graph): boolean {
  let top = graph
  while (top.owner) top = top.owner.graph
  return top !== graph.model.graph
}

/**
 * Puts `data` in the place of `old`, an output of `node`, under the same name. An initializer where the graph can have one that
 * is no input too, else a Constant node.
 */
export function replaceByConstant(node: Node, old: Value, data: Tensor): void {
  const { graph } = node
  const { model } = graph
  const plain = !isInFunction(graph) && model.initializersAreOverridable && !old.isOutput
  const value = plain
    ? graph.addInitializer(old.name, data)
    : graph
        .insert(
          { op: 'Constant', inputs: [], attributes: { value: tensorAttribute(data) }, types: [old.type] },
          { before: node },
        )
        .output()
  const wasOutput = old.isOutput
  graph.replace(old, value)
  if (wasOutput) return // then the names are swapped already
  const { name } = value
  value.name = old.name
  old.name = name
}

/** True if the value's data is known and nobody outside of the model can replace it. */
export function isConstant(value: Value | null | undefined): boolean {
  return value?.constant !== undefined
}

/** The integers of a constant, or undefined. At most `limit` elements are read. */
export function constantInts(value: Value | undefined, limit = 1024): number[] | undefined {
  const data = value?.constant
  if (!data || (data.dtype !== 'int64' && data.dtype !== 'int32') || data.elementCount > limit) return undefined
  return data.toNumbers()
}

/**
 * True if a subgraph returns the value of a graph further out as it is. No runtime takes that, so such values are left alone.
 */
export function isReturnedFromInside(value: Value): boolean {
  return value.isOutput && value.outputCount !== value.graph.outputs.filter((output) => output === value).length
}

/** A list that older versions of an operator have as attribute and newer ones as input `index`; undefined if it is not known. */
export function intList(node: Node, attribute: string, index = 1): number[] | undefined {
  return node.inputCount > 1 ? constantInts(node.input(index)) : node.ints(attribute)
}

/** The result, or undefined if a node has an attribute of the wrong kind: damaged nodes are left to others to complain about. */
export function ignoringInvalid<T>(find: () => T): T | undefined {
  try {
    return find()
  } catch (error) {
    if (error instanceof OnnxError && error.code === 'NODE_INVALID') return undefined
    throw error
  }
}
