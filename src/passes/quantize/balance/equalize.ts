import type { Node } from '../../../graph/node.ts'
import type { Value } from '../../../graph/value.ts'
import type { Channels } from '../calibrate/channels.ts'
import { balancing, floatsOf, type Product, productOf, reachOf, replaceConstant, scaled } from './products.ts'

/** A product and the one that alone reads its result, with nothing between them but what a factor per channel passes through. */
export interface Neighbours {
  first: Product
  /** The constant that is added to the result of the first. */
  bias: { node: Node; index: number } | undefined
  second: Product
}

/** Operators that a positive factor per channel passes through. */
const HOMOGENEOUS = new Set([
  'Relu',
  'LeakyRelu',
  'MaxPool',
  'AveragePool',
  'GlobalAveragePool',
  'GlobalMaxPool',
  'Identity',
])

/** All pairs of neighbours among nodes. */
export function neighboursOf(nodes: Iterable<Node>): Neighbours[] {
  return [...nodes].flatMap((node) => {
    const second = productOf(node)
    const found = second && before(second)
    return found ? [found] : []
  })
}

function before(second: Product): Neighbours | undefined {
  let reader = second.node
  let value: Value | undefined = reader.input(0)
  let bias: Neighbours['bias']
  for (let steps = 0; value && steps < 8; steps++) {
    const node: Node | undefined = value.producer
    if (!node || value.isOutput || value.onlyUser !== reader || node.graph !== second.node.graph) return undefined
    reader = node
    const first = productOf(node)
    if (first) {
      const own = node.is('MatMul') ? bias : node.input(2) ? { node, index: 2 } : undefined
      if (!node.is('MatMul') && bias) return undefined
      if (own && !isVector(own.node.input(own.index), first.outputs.channels)) return undefined
      const fits = first.axis === second.axis && first.outputs.channels === second.inputs.channels
      return fits ? { first, bias: own, second } : undefined
    }
    if (node.is('Add') && !bias) {
      const index = [0, 1].find((i) => node.input(i)?.constant)
      if (index === undefined) return undefined
      bias = { node, index }
      value = node.input(1 - index)
    } else if (HOMOGENEOUS.has(node.opType) && node.domain === '') value = node.input(0)
    else return undefined
  }
  return undefined
}

function isVector(value: Value | undefined, length: number): boolean {
  const tensor = value?.constant
  return tensor?.dtype === 'float32' && tensor.elementCount === length && tensor.dims.at(-1) === length
}

/**
 * Divides the channels between two products by factors, in the first one's weight and bias, and multiplies them in the second one's weight:
 * the model computes the same, with channels of the activation in between that reach about equally far.
 *
 * @param seen what the second one reads
 * @returns false if there was nothing to gain
 */
export function equalize({ first, bias, second }: Neighbours, seen: Channels | undefined): boolean {
  if (seen?.reach.length !== second.inputs.channels) return false
  const factors = balancing(seen.reach, reachOf(weightOf(second), second.inputs), 0.5)
  if (factors.every((factor) => Math.abs(factor - 1) < 0.01)) return false
  replaceConstant(
    first.node,
    1,
    scaled(weightOf(first), first.outputs, (channel) => 1 / factors[channel]!),
  )
  replaceConstant(
    second.node,
    1,
    scaled(weightOf(second), second.inputs, (channel) => factors[channel]!),
  )
  if (bias) {
    const values = floatsOf(bias.node.input(bias.index)!)
    replaceConstant(
      bias.node,
      bias.index,
      values.map((value, i) => value / factors[i]!),
    )
  }
  return true
}

/** The weight as it is now: it may have been changed with the neighbour on the other side. */
function weightOf({ node }: Product): Value {
  return node.input(1)!
}
