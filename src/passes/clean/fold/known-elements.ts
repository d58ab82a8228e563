import type { Graph } from '../../../graph/graph.ts'
import type { Node } from '../../../graph/node.ts'
import { Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import type { DType } from '../../../onnx/dtypes.ts'
import { constantInts, ignoringInvalid, intList, isReturnedFromInside, replaceByConstant } from '../constants.ts'
import { hasReference, isStandard } from '../determinism.ts'
import { castTarget, type Facts } from '../facts.ts'
import { nodeSize, tensorSize } from '../sizes.ts'

/** A vector or scalar of integers of which some elements are known: what becomes of the shape of a value. */
interface Elements {
  readonly list: readonly (number | undefined)[]
  readonly isScalar: boolean
  readonly dtype: DType
}

/** Longer vectors are no shapes. */
const LONGEST = 64

const FOLLOWED = new Set(['Cast', 'Concat', 'Gather', 'Shape', 'Size', 'Slice', 'Squeeze', 'Unsqueeze'])

/**
 * Replaces computations on shapes whose result is certain: the size of a fixed axis stays known when it is picked out of a shape that
 * is otherwise dynamic. Returns how many nodes were replaced.
 */
export function foldShapes(graph: Graph, facts: Facts): number {
  let changes = 0
  for (const { node, result, data } of knownShapes(graph, facts)) {
    replaceByConstant(node, result, data)
    graph.remove(node)
    changes++
  }
  for (const node of graph.nodes()) for (const body of node.subgraphs) changes += foldShapes(body, facts)
  return changes
}

/** Nodes of a graph that compute known integers, those that read others' results first. The yielded node may be removed. */
export function* knownShapes(graph: Graph, facts: Facts): Generator<{ node: Node; result: Value; data: Tensor }> {
  const reader = new ElementsReader(facts)
  graph.sort()
  // Back to front: what leads up to a known result need not be folded itself.
  for (let node = graph.lastNode; node; ) {
    const { previous } = node
    const [result] = node.outputs
    if (result && isFollowed(node) && !result.isUnused && !isReturnedFromInside(result)) {
      const known = ignoringInvalid(() => reader.of(result))
      const numbers = known?.list.filter((element) => element !== undefined) ?? []
      if (known && numbers.length === known.list.length) {
        const dims = known.isScalar ? [] : [numbers.length]
        const data = Tensor.from(known.dtype, dims, numbers)
        if (tensorSize(data.byteLength, dims.length, result.name) <= sizeWithChain(node)) yield { node, result, data }
      }
    }
    node = previous
  }
}

/** Size of a node and of those before it that have no other reader. */
function sizeWithChain(node: Node): number {
  let size = nodeSize(node)
  for (const value of node.inputs)
    if (value?.onlyUser === node && value.producer && isStandard(value.producer)) size += sizeWithChain(value.producer)
  return size
}

function isFollowed(node: Node): boolean {
  return isStandard(node) && FOLLOWED.has(node.opType) && !hasReference(node)
}

class ElementsReader {
  readonly #facts: Facts
  readonly #seen = new Map<Value, Elements | undefined>()

  constructor(facts: Facts) {
    this.#facts = facts
  }

  of(value: Value): Elements | undefined {
    if (this.#seen.has(value)) return this.#seen.get(value)
    const { producer } = value
    const elements = fromConstant(value) ?? (producer && isFollowed(producer) ? this.#through(producer) : undefined)
    this.#seen.set(value, elements)
    return elements
  }

  #through(node: Node): Elements | undefined {
    const source = node.input(0)
    if (!source) return undefined
    if (node.opType === 'Shape') return this.#shape(node, source)
    if (node.opType === 'Size') return this.#size(source)
    if (node.opType === 'Concat') return this.#concat(node)
    const input = this.of(source)
    if (!input) return undefined
    switch (node.opType) {
      case 'Cast': {
        const dtype = castTarget(node)
        return dtype === 'int64' || dtype === 'int32' ? { ...input, dtype } : undefined
      }
      case 'Unsqueeze':
        return input.isScalar && isFirstAxis(intList(node, 'axes')) ? { ...input, isScalar: false } : undefined
      case 'Squeeze': {
        const axes = intList(node, 'axes')
        const fits = input.list.length === 1 && !input.isScalar && (node.input(1) || axes ? isFirstAxis(axes) : true)
        return fits ? { ...input, isScalar: true } : undefined
      }
      case 'Gather':
        return gather(node, input)
      default:
        return slice(node, input)
    }
  }

  #shape(node: Node, source: Value): Elements | undefined {
    const shape = this.#facts.shape(source)
    const list = shape?.map((dim) => dim ?? undefined).slice(node.int('start', 0), node.int('end', shape.length))
    return list && { list, isScalar: false, dtype: 'int64' }
  }

  #size(source: Value): Elements | undefined {
    const shape = this.#facts.shape(source)
    if (!shape || shape.includes(null)) return undefined
    return { list: [shape.reduce<number>((product, dim) => product * dim!, 1)], isScalar: true, dtype: 'int64' }
  }

  #concat(node: Node): Elements | undefined {
    const axis = node.int('axis')
    if (axis !== 0 && axis !== -1) return undefined
    const parts: Elements[] = []
    for (const value of node.inputs) {
      const part = value ? this.of(value) : undefined
      if (!part || part.isScalar) return undefined
      parts.push(part)
    }
    const list = parts.flatMap((part) => part.list)
    return parts[0] && list.length <= LONGEST ? { ...parts[0], list } : undefined
  }
}

function fromConstant(value: Value): Elements | undefined {
  const list = constantInts(value, LONGEST)
  const data = value.constant
  return list && data?.dtype && data.dims.length < 2
    ? { list, isScalar: data.dims.length === 0, dtype: data.dtype }
    : undefined
}

function isFirstAxis(axes: readonly number[] | undefined): boolean {
  return axes?.length === 1 && (axes[0] === 0 || axes[0] === -1)
}

function gather(node: Node, input: Elements): Elements | undefined {
  const axis = node.int('axis', 0)
  const at = constantInts(node.input(1), LONGEST)
  const rank = node.input(1)?.constant?.dims.length
  if (!at || rank === undefined || rank > 1 || input.isScalar || (axis !== 0 && axis !== -1)) return undefined
  const { length } = input.list
  if (at.some((index) => index < -length || index >= length)) return undefined
  return { ...input, list: at.map((index) => input.list[index < 0 ? index + length : index]), isScalar: rank === 0 }
}

function slice(node: Node, input: Elements): Elements | undefined {
  const one = (name: string, index: number): number | undefined => {
    const list = intList(node, name, index)
    return list?.length === 1 ? list[0] : undefined
  }
  const hasAxes = node.inputCount > 1 ? node.input(3) : node.attributes.has('axes')
  const axis = hasAxes ? one('axes', 3) : 0
  const step = node.input(4) ? one('steps', 4) : 1
  const start = one('starts', 1)
  const end = one('ends', 2)
  if (input.isScalar || (axis !== 0 && axis !== -1) || step !== 1 || start === undefined || end === undefined)
    return undefined
  return { ...input, list: input.list.slice(start, end) }
}
