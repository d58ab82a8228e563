import { withFloats } from '../../../graph/float-data.ts'
import type { Node } from '../../../graph/node.ts'
import type { Value } from '../../../graph/value.ts'
import { dequantize, quantizePerChannel } from '../../../kernels/index.ts'
import type { Channels } from '../calibrate/channels.ts'
import type { Plan } from '../static/plan.ts'
import { floatsOf, productOf, replaceConstant } from './products.ts'

/**
 * Takes back what rounding of weights adds to the mean of every channel of a product: the mean input times the weights' errors goes
 * into the bias. Products without a bias of their own or a constant that is added to their result are left.
 *
 * @param means by what the products read
 * @returns how many biases were changed
 */
export function correctBiases(plan: Plan, means: ReadonlyMap<Value, Channels>, quantized: ReadonlySet<Node>): number {
  let corrected = 0
  for (const { node, index, constant } of plan.constants) {
    const input = node.input(0)
    const seen = input && means.get(input)
    const product = productOf(node)
    if (index !== 1 || !product || seen?.mean.length !== product.inputs.channels) continue
    const { tensor, layout, request, scales } = constant
    const { type } = request
    if (type === 'float8e4m3fn' || constant.blocks) continue
    const shift = withFloats(tensor, (data) => {
      const values = floatsOf(product.weight)
      const rounded = dequantize(quantizePerChannel(data, layout, type, scales), type, layout, scales)
      const sums = new Float64Array(product.outputs.channels)
      const channelAt = ({ inner, channels }: typeof product.inputs, i: number): number =>
        Math.floor(i / inner) % channels
      for (let i = 0; i < values.length; i++)
        sums[channelAt(product.outputs, i)]! += (values[i]! - rounded[i]!) * seen.mean[channelAt(product.inputs, i)]!
      return sums
    })
    if (shift.every((value) => value === 0)) continue
    if (shiftBias(node, shift, plan, quantized)) corrected++
  }
  return corrected
}

function shiftBias(node: Node, shift: Float64Array, plan: Plan, quantized: ReadonlySet<Node>): boolean {
  const place = biasOf(node, shift.length, quantized)
  if (!place) return false
  const beta = node.is('Gemm') ? node.float('beta', 1) : 1
  const alpha = node.is('Gemm') ? node.float('alpha', 1) : 1
  if (beta === 0) return false
  const use = plan.biases.find((bias) => bias.node === place.node && bias.index === place.index)
  const old = place.node.input(place.index)!
  replaceConstant(
    place.node,
    place.index,
    floatsOf(old).map((value, i) => value + (alpha / beta) * shift[i]!),
  )
  if (use) use.root = place.node.input(place.index)!
  return true
}

/** The constant that is added to a product, one element per channel. */
function biasOf(node: Node, channels: number, quantized: ReadonlySet<Node>): { node: Node; index: number } | undefined {
  const isVector = (value: Value | undefined): boolean =>
    value?.constant?.dtype === 'float32' &&
    value.constant.elementCount === channels &&
    value.constant.dims.at(-1) === channels
  if (!node.is('MatMul')) return isVector(node.input(2)) ? { node, index: 2 } : undefined
  const add = node.output().onlyUser
  if (!add?.is('Add') || quantized.has(add)) return undefined
  const index = [0, 1].find((i) => isVector(add.input(i)))
  return index === undefined ? undefined : { node: add, index }
}
