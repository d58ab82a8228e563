import type { Node } from '../graph/node.ts'
import { Tensor } from '../graph/tensor.ts'
import type { Value } from '../graph/value.ts'
import { isFloat } from '../onnx/dtypes.ts'
import { constantOf, type Failure, no } from '../rewrite/index.ts'

/** Shared weights up to this size (bytes) are copied; above, a copy would make the model larger. */
const COPY_LIMIT = 1024

/** The data of weights that a rule may replace by others: float constants that no other node reads, or small ones. */
export function ownWeights(value: Value): Tensor | Failure {
  const tensor = constantOf(value)
  if (!tensor) return no('is not constant', value)
  if (!isFloat(tensor.dtype)) return no(`is of ${tensor.dtype}`, value)
  return value.onlyUser || tensor.byteLength <= COPY_LIMIT ? tensor : no('is shared with another operator', value)
}

/** The numbers of a float constant as doubles. */
export function numbersOf(tensor: Tensor): Float32Array | number[] {
  return tensor.dtype === 'float32' ? tensor.float32() : tensor.toNumbers()
}

/** A tensor like another, from numbers computed in double precision and rounded once. */
export function tensorLike(
  like: Tensor,
  numbers: readonly number[] | Float64Array,
  dims: readonly number[] = like.dims,
): Tensor {
  return like.dtype === 'float32'
    ? Tensor.float32(dims, Float32Array.from(numbers))
    : Tensor.from(like.dtype!, dims, [...numbers])
}

/**
 * A constant that is combined with an operator's result, as one number per channel.
 *
 * @param rank rank of the result, whose channels are dimension 1
 */
export function perChannel(value: Value, channels: number, rank: number): number[] | Failure {
  const tensor = constantOf(value)
  if (!tensor || !isFloat(tensor.dtype)) return no('is not a float constant', value)
  const { dims } = tensor
  if (dims.length > rank) return no(`has the shape [${dims}], which adds dimensions`, value)
  const padded = [...Array.from({ length: rank - dims.length }, () => 1), ...dims]
  const isPerChannel = padded.every((dim, i) => dim === 1 || (i === 1 && dim === channels))
  if (!isPerChannel) return no(`has the shape [${dims}], not one number per channel`, value)
  const numbers = [...numbersOf(tensor)]
  return numbers.length === 1 ? Array.from({ length: channels }, () => numbers[0]!) : numbers
}

/** What an inference-time BatchNormalization does to each channel: x * factor + shift. */
export function batchNorm(node: Node): { factor: number[]; shift: number[] } | Failure {
  if (node.int('training_mode', 0) || node.int('spatial', 1) === 0)
    return no('normalizes in another way than at inference', node)
  const parts = [1, 2, 3, 4].map((i) => constantOf(node.input(i)))
  if (!parts.every((part) => part && isFloat(part.dtype))) return no('has parameters that are not constant', node)
  const [scale, bias, mean, variance] = parts.map((part) => [...numbersOf(part!)])
  const epsilon = node.float('epsilon', 1e-5)
  const factor = scale!.map((number, i) => number / Math.sqrt(variance![i]! + epsilon))
  return { factor, shift: factor.map((number, i) => bias![i]! - mean![i]! * number) }
}
