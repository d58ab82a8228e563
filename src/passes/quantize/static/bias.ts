import { withFloats } from '../../../graph/float-data.ts'
import { Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import { quantizeBias, toFloat32 } from '../../../kernels/index.ts'
import type { Note } from '../../pass.ts'
import type { QuantizedConstant } from './constants.ts'
import type { BiasUse } from './plan.ts'

/** Keeps a product's scale a little above the least one that its bias needs. */
const MARGIN = 1.0001

/**
 * Raises scales of a weight so that a bias fits into int32 in the scale of the product. That leaves zero points where they are: fewer
 * codes on either side are used.
 *
 * @returns true if a scale was raised
 */
export function makeRoomForBias(weight: QuantizedConstant, bias: Value, inputScale: number, beta: number): boolean {
  const { scales } = weight.scales
  const values = floatsOf(bias)
  const limits = new Float64Array(scales.length)
  values.forEach((value, i) => {
    const channel = scales.length === 1 ? 0 : i
    limits[channel] = Math.max(limits[channel] ?? 0, Math.abs(value * beta))
  })
  let raised = false
  for (let i = 0; i < scales.length; i++) {
    const least = (MARGIN * 2 * limits[i]!) / (2 ** 32 - 2)
    const scale = inputScale * scales[i]!
    if (!(scale > 0) || scale >= least) continue
    scales[i] = Math.fround((scales[i]! * least) / scale)
    raised = true
  }
  return raised
}

/** The int32 form of `beta` times a bias, and its scale; undefined where its length does not go with the weight's scales. */
export function quantizedBias(
  weight: QuantizedConstant,
  bias: Value,
  inputScale: number,
  beta: number,
): { data: Tensor; scale: Tensor; zeroPoint: Tensor; clipped: number } | undefined {
  const values = floatsOf(bias).map((value) => value * beta)
  const { scales } = weight.scales
  if (scales.length !== 1 && scales.length !== values.length) return undefined
  const product = Float32Array.from(scales, (scale) => Math.fround(inputScale * scale))
  if (product.some((scale) => !(scale > 0))) return undefined
  const { values: codes, clipped } = quantizeBias(values, product)
  const { dims } = bias.constant!
  const perChannel = scales.length > 1 ? [scales.length] : []
  const { scaleType } = weight.request
  return {
    data: Tensor.of('int32', dims, new Uint8Array(codes.buffer)),
    scale: Tensor.from(scaleType, perChannel, [...product]),
    zeroPoint: Tensor.from('int32', perChannel, [...product].fill(0)),
    clipped,
  }
}

/** Says which biases lose something, since they do not fit into int32 in the scale of their product. */
export function noteClipped(biases: readonly BiasUse[], note: (note: Note) => void): void {
  for (const { node, root, beta, inputScale, weight } of biases) {
    const clipped = quantizedBias(weight, root, inputScale, beta)?.clipped ?? 0
    if (clipped)
      note({
        level: 'warn',
        code: 'quantize/bias-clipped',
        message: `${clipped} values of the bias "${root.name}" do not fit into int32; adjust_for_bias makes room for them`,
        node: node.label,
      })
  }
}

function floatsOf(bias: Value): Float32Array {
  return withFloats(bias.constant!, (data) => toFloat32(data))
}
