import type { Node } from '../../graph/node.ts'
import type { Tensor } from '../../graph/tensor.ts'
import type { Value } from '../../graph/value.ts'
import { constantOf, Failure, no, type Replace } from '../../rewrite/index.ts'
import { numbersOf, ownWeights, tensorLike } from '../weights.ts'

/** A convolution whose output channels can be scaled and shifted. */
export interface Convolution {
  node: Node
  x: Value
  weights: Tensor
  bias: Tensor | undefined
  channels: number
}

/** The parts of a Conv or ConvTranspose, if its weights are constant and its own. */
export function convolution(node: Node): Convolution | Failure {
  const weights = ownWeights(node.input(1)!)
  if (weights instanceof Failure) return weights
  const given = node.input(2)
  const bias = constantOf(given)
  if (given && !bias) return no('is not constant', given)
  const groups = node.int('group', 1)
  const channels = node.opType === 'Conv' ? weights.dims[0]! : weights.dims[1]! * groups
  return { node, x: node.input(0)!, weights, bias, channels }
}

/** The same convolution with its output channels times `factor` plus `shift`. */
export function scaled(
  { node, x, weights, bias, channels }: Convolution,
  factor: readonly number[] | undefined,
  shift: readonly number[] | undefined,
  { create, constant }: Pick<Replace, 'create' | 'constant'>,
): Value {
  const old = bias ? numbersOf(bias) : Array.from({ length: channels }, () => 0)
  const sums = Array.from({ length: channels }, (_, i) => old[i]! * (factor?.[i] ?? 1) + (shift?.[i] ?? 0))
  const w = factor ? constant(tensorLike(weights, times(node, weights, factor)), 'weight') : node.input(1)!
  const b = bias || shift ? constant(tensorLike(weights, sums, [channels]), 'bias') : null
  const attributes = Object.fromEntries(node.attributes)
  return create({ op: node.opType, inputs: [x, w, b], attributes })[0]!
}

/** Conv weights are [outputs, inputs / groups, ...], those of ConvTranspose [inputs, outputs / groups, ...]. */
function times(node: Node, weights: Tensor, factor: readonly number[]): Float64Array {
  const numbers = Float64Array.from(numbersOf(weights))
  const [first, second] = weights.dims as [number, number]
  const inner = numbers.length / (first * second)
  const perGroup = first / node.int('group', 1)
  for (let i = 0; i < numbers.length; i++) {
    const row = Math.floor(i / (inner * second))
    const column = Math.floor(i / inner) % second
    numbers[i]! *= factor[node.opType === 'Conv' ? row : Math.floor(row / perGroup) * second + column]!
  }
  return numbers
}
