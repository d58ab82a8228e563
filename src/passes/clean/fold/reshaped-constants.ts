import type { Graph } from '../../../graph/graph.ts'
import type { Node } from '../../../graph/node.ts'
import { elementsIn } from '../../../graph/tensor.ts'
import { ignoringInvalid, intList, isReturnedFromInside, replaceByConstant } from '../constants.ts'
import { hasReference, isStandard } from '../determinism.ts'
import { nodeSize, tensorSize } from '../sizes.ts'

const RESHAPING = new Set(['Flatten', 'Reshape', 'Squeeze', 'Unsqueeze'])

/** Gives constants the shape that a node would give them; the data is not even read. Returns how many nodes went. */
export function reshapeConstants(graph: Graph): number {
  let changes = 0
  for (const node of graph.nodes()) {
    for (const body of node.subgraphs) changes += reshapeConstants(body)
    if (!isStandard(node) || !RESHAPING.has(node.opType) || hasReference(node)) continue
    const [result] = node.outputs
    const source = node.input(0)
    const data = source?.constant
    if (!result || !source || !data || data.dtype === 'string' || isReturnedFromInside(result)) continue
    const dims = ignoringInvalid(() => dimsAfter(node, data.dims))
    if (!dims || dims.some((dim) => dim < 0) || elementsIn(dims) !== data.elementCount) continue
    // A constant that others read in its old shape would be there twice.
    const gain = nodeSize(node) + (source.onlyUser === node ? tensorSize(data.byteLength, data.dims.length, '') : 0)
    if (tensorSize(data.byteLength, dims.length, result.name) > gain) continue
    replaceByConstant(node, result, data.reshaped(dims))
    graph.remove(node)
    changes++
  }
  return changes
}

function dimsAfter(node: Node, dims: readonly number[]): number[] | undefined {
  const axes = intList(node, node.opType === 'Reshape' ? 'shape' : 'axes')
  switch (node.opType) {
    case 'Flatten': {
      const axis = node.int('axis', 1)
      const at = axis < 0 ? axis + dims.length : axis
      return [elementsIn(dims.slice(0, at)), elementsIn(dims.slice(at))]
    }
    case 'Reshape': {
      const wanted = axes?.map((dim, i) => (dim === 0 && !node.int('allowzero', 0) ? (dims[i] ?? -2) : dim))
      const rest = wanted && elementsIn(wanted.filter((dim) => dim !== -1))
      return rest ? wanted?.map((dim) => (dim === -1 ? elementsIn(dims) / rest : dim)) : wanted
    }
    case 'Squeeze': {
      if (!axes && (node.input(1) || node.attributes.has('axes'))) return undefined
      const gone = axes?.map((axis) => (axis < 0 ? axis + dims.length : axis))
      return dims.filter((dim, i) => (gone ? !gone.includes(i) : dim !== 1))
    }
    default: {
      if (!axes) return undefined
      const rank = dims.length + axes.length
      const added = axes.map((axis) => (axis < 0 ? axis + rank : axis))
      const rest = [...dims]
      return Array.from({ length: rank }, (_, i) => (added.includes(i) ? 1 : (rest.shift() ?? -1)))
    }
  }
}
