import type { Value } from '../../../graph/value.ts'
import { type Context, numbersOf } from '../context.ts'
import { axisOf, channelCount, type Image, mismatch } from '../flow.ts'

/** Weights of red, green and blue in brightness (ITU-R BT.601). */
const LUMA = [0.299, 0.587, 0.114]
/** RGB to YCbCr and back (ITU-T T.871), by row of the input channel. */
const TO_YCBCR = [0.299, -0.168735892, 0.5, 0.587, -0.331264108, -0.418687589, 0.114, 0.5, -0.081312411]
const FROM_YCBCR = [1, 1, 1, 0, -0.344136286, 1.772, 1.402, -0.714136286, 0]

/** The image in this layout. */
export function toLayout(image: Image, layout: Image['layout'], { ops }: Context): Image {
  if (image.layout === layout) return image
  const order = layout === 'CHW' ? [2, 0, 1] : [1, 2, 0]
  const perm = image.batch ? [0, ...order.map((axis) => axis + 1)] : order
  return { ...image, layout, value: ops.op('Transpose', [image.value], { perm }) }
}

/** The image with a batch of one, or without. */
export function withBatch(image: Image, batch: boolean, { ops }: Context): Image {
  if (image.batch === batch) return image
  return { ...image, batch, value: ops.op(batch ? 'Unsqueeze' : 'Squeeze', [image.value, [0]]) }
}

/** The image as float32. */
export function toFloat(image: Image, { ops }: Context): Image {
  return image.dtype === 'float32' ? image : { ...image, dtype: 'float32', value: ops.cast(image.value, 'float32') }
}

/** Values of 0 to 255, rounded, as bytes. */
export function toBytes(image: Image, context: Context): Image {
  if (image.dtype === 'uint8') return image
  return { ...image, dtype: 'uint8', value: bytes(image.value, context) }
}

/** Floats rounded and clipped to bytes. */
export function bytes(value: Value, { ops }: Context): Value {
  return ops.cast(ops.op('Clip', [ops.round(value), ops.floats(0), ops.floats(255)]), 'uint8')
}

/** Another order of channels. Grey is brightness, rounded to whole numbers as bytes would be. */
export function toChannels(image: Image, to: 'rgb' | 'bgr' | 'grey', context: Context, step = 'channels'): Image {
  const { ops } = context
  const from = image.channels
  if (from === to || (from === 'y' && to === 'grey')) return { ...image, channels: to }
  if (channelCount(from) === 1)
    throw mismatch(step, `makes ${to} of an image, and '${image.by}' before it gives one channel`)
  if (to === 'grey') {
    const pixels = toFloat(toLayout(image, 'HWC', context), context)
    const axis = axisOf(pixels, 'c')
    const colours = from === 'rgba' ? ops.slice(pixels.value, axis, [0], [3]) : pixels.value
    const weights = from === 'bgr' ? LUMA.toReversed() : LUMA
    const grey = ops.round(ops.op('MatMul', [colours, ops.floats(weights, [3, 1])]))
    return { ...pixels, value: grey, channels: 'grey' }
  }
  const axis = axisOf(image, 'c')
  const value =
    from === 'rgba' && to === 'rgb'
      ? ops.slice(image.value, axis, [0], [3])
      : ops.slice(image.value, axis, [2], [Number.MIN_SAFE_INTEGER], -1)
  return { ...image, value, channels: to }
}

/** x * factor as float32. */
export function scaled(image: Image, factor: number, context: Context): Image {
  const { ops } = context
  const floats = toFloat(image, context)
  return factor === 1 ? floats : { ...floats, value: ops.op('Mul', [floats.value, ops.floats(factor)]) }
}

/** (x * factor - mean) / std, as one multiplication and one addition. */
export function normalized(
  image: Image,
  { mean = 0, std = 1, factor = 1 }: { mean?: unknown; std?: unknown; factor?: number },
  context: Context,
  step: string,
): Image {
  // Alpha has no mean.
  const pixels = image.channels === 'rgba' ? toChannels(image, 'rgb', context, step) : image
  const floats = toFloat(pixels, context)
  const count = channelCount(pixels.channels)
  const [means, stds] = [numbersOf(mean)!, numbersOf(std)!]
  const length = Math.max(means.length, stds.length)
  const wrong = [means, stds].find((list) => list.length !== 1 && list.length !== (count ?? list.length))
  if (wrong || (means.length > 1 && stds.length > 1 && means.length !== stds.length))
    throw mismatch(step, `has ${(wrong ?? stds).length} numbers for ${count ?? means.length} channels`)
  if (stds.includes(0)) throw mismatch(step, 'divides by a std of 0')
  const at = (list: readonly number[], i: number) => list[list.length === 1 ? 0 : i]!
  const factors = Array.from({ length }, (_, i) => factor / at(stds, i))
  const shifts = Array.from({ length }, (_, i) => -at(means, i) / at(stds, i))
  const { ops } = context
  const dims = length === 1 ? [] : image.layout === 'CHW' ? [length, 1, 1] : [length]
  const product = factors.every((value) => value === 1)
    ? floats.value
    : ops.op('Mul', [floats.value, ops.floats(factors, dims)])
  const value = shifts.every((value) => value === 0) ? product : ops.op('Add', [product, ops.floats(shifts, dims)])
  return { ...floats, value }
}

/** Brightness as the image; the colour planes, of the same size, go into the context. */
export function toYCbCr(image: Image, context: Context, step: string): Image {
  const { ops } = context
  if (channelCount(image.channels) === 1) throw mismatch(step, `takes colours, and '${image.by}' gives one channel`)
  const pixels = toFloat(toLayout(toChannels(image, 'rgb', context), 'HWC', context), context)
  const mixed = ops.op('Add', [
    ops.op('MatMul', [pixels.value, ops.floats(TO_YCBCR, [3, 3])]),
    ops.floats([0, 128, 128]),
  ])
  const clipped = ops.op('Clip', [ops.round(mixed), ops.floats(0), ops.floats(255)])
  const planes = ops.ops('Split', [clipped, [1, 1, 1]], 3, { axis: axisOf(pixels, 'c') })
  const plane = (value: Value): Image => ({ ...pixels, value, channels: 'y' })
  context.planes = { cb: plane(planes[1]!), cr: plane(planes[2]!) }
  return plane(planes[0]!)
}

/** Brightness and two planes of colour, all float32 HWC of one size with values to 255, as RGB bytes. */
export function fromYCbCr(y: Value, cb: Value, cr: Value, { ops }: Context): Value {
  const planes = ops.op('Sub', [ops.op('Concat', [y, cb, cr], { axis: -1 }), ops.floats([0, 128, 128])])
  const rgb = ops.op('MatMul', [planes, ops.floats(FROM_YCBCR, [3, 3])])
  return ops.cast(ops.op('Clip', [ops.round(rgb), ops.floats(0), ops.floats(255)]), 'uint8')
}
