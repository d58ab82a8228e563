import type { Node } from '../../graph/node.ts'
import type { Tensor } from '../../graph/tensor.ts'
import type { Value } from '../../graph/value.ts'
import { DTYPES, type DType, isFloat } from '../../onnx/dtypes.ts'

/** A constant that a node reads, perhaps through nodes that only pass it on. */
export interface Weight {
  /** The initializer, or the output of the Constant node. */
  root: Value
  tensor: Tensor
  /** The element type that the reader sees, after Casts. */
  dtype: DType
  /** True if the reader sees the matrix transposed. */
  transposed: boolean
}

/**
 * The constant behind an input: through Identity, Cast between float types, and Transpose of a matrix. Undefined if the value is
 * computed, or is an initializer that callers may override.
 */
export function findWeight(value: Value | undefined): Weight | undefined {
  let at = value
  let dtype: DType | undefined
  let transposed = false
  for (let steps = 0; at && steps < 20; steps++) {
    const tensor = at.constant
    if (tensor) {
      const seen = dtype ?? tensor.dtype
      return seen && { root: at, tensor, dtype: seen, transposed }
    }
    const node: Node | undefined = at.producer
    if (node?.domain !== '') return undefined
    if (node.opType === 'Cast') {
      const to = castTarget(node)
      if (!isFloat(to)) return undefined
      dtype ??= to
    } else if (node.opType === 'Transpose') {
      if (!swapsMatrix(node)) return undefined
      transposed = !transposed
    } else if (node.opType !== 'Identity') return undefined
    at = node.input(0)
  }
  return undefined
}

function castTarget(node: Node): DType | undefined {
  const code = node.int('to')
  return (Object.keys(DTYPES) as DType[]).find((name) => DTYPES[name].code === code)
}

/** True for a Transpose of a matrix that swaps its axes. A missing `perm` reverses all axes, so the rank must be known. */
function swapsMatrix(node: Node): boolean {
  const perm = node.ints('perm')
  if (perm) return perm.length === 2 && perm[0] === 1 && perm[1] === 0
  return rankBehind(node.input(0)) === 2
}

function rankBehind(value: Value | undefined): number | undefined {
  const tensor = value?.constant
  if (tensor) return tensor.dims.length
  const node = value?.producer
  return node && ['Identity', 'Cast', 'Transpose'].includes(node.opType) ? rankBehind(node.input(0)) : undefined
}

/**
 * Removes what nobody reads any more, from `values` upwards: nodes that only passed a weight on, and the weights themselves. The
 * float copy of a weight with other users stays.
 *
 * @returns true if something was removed
 */
export function prune(values: Iterable<Value>): boolean {
  let changed = false
  const visit = (value: Value): void => {
    if (!value.isUnused) return
    const { graph, producer } = value
    if (producer) {
      if (!producer.isLinked || producer.outputs.some((output) => output && !output.isUnused)) return
      const inputs = producer.inputs
      graph.remove(producer)
      changed = true
      for (const input of inputs) if (input) visit(input)
      return
    }
    if (!value.tensor) return
    if (value.isInput) {
      // From IR version 4 on an initializer that is also an input belongs to the model's signature.
      if (graph.model.initializersAreOverridable) return
      graph.removeInput(value)
    }
    graph.removeInitializer(value)
    changed = true
  }
  for (const value of values) visit(value)
  return changed
}
