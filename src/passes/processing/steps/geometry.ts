import { Tensor } from '../../../graph/tensor.ts'
import type { Value } from '../../../graph/value.ts'
import { OnnxError } from '../../../onnx/errors.ts'
import type { Context } from '../context.ts'
import { axisOf, type Image, mismatch } from '../flow.ts'
import { toFloat, toLayout, withBatch } from './pixels.ts'

export type Policy = 'notSmaller' | 'notLarger' | 'stretch'
export type Interpolation = 'linear' | 'cubic' | 'nearest'

/** How an image changes its size. */
export interface Sampling {
  interpolation: Interpolation
  antialias: boolean
}

/** Height and width as int64 [2]. */
export function sizeIn(image: Image, { ops }: Context): Value {
  const from = axisOf(image, 'h')
  return ops.sizes(image.value, from, from + 2)
}

/**
 * Resizes to `size` ([height, width]); with a policy other than `stretch` proportions stay, and sizes are rounded to the nearest.
 * Bytes stay bytes: that is four times less to read, and what Pillow does.
 */
export function resized(
  image: Image,
  size: readonly [number, number],
  policy: Policy,
  sampling: Sampling,
  context: Context,
): Image {
  const { ops } = context
  if (image.height === size[0] && image.width === size[1]) return image
  const before = ops.cast(sizeIn(image, context), 'float32')
  let target: Value
  if (policy === 'stretch') target = ops.ints(size)
  else {
    const ratios = ops.op('Div', [ops.floats(size), before])
    const ratio = ops.op(policy === 'notSmaller' ? 'ReduceMax' : 'ReduceMin', [ratios], { keepdims: 1 })
    const rounded = ops.round(ops.op('Mul', [before, ratio]))
    target = ops.cast(ops.op('Max', [rounded, ops.floats(1)]), 'int64')
  }
  const output = resizedTo(image, target, sampling, context)
  // Where the middle of a pixel goes: x' = (x + 0.5) * ratio - 0.5. Boxes are edges, for which it is x * ratio.
  follow(context, ops.op('Div', [ops.cast(target, 'float32'), before]), undefined)
  const fixed = policy === 'stretch'
  return { ...output, height: fixed ? size[0] : undefined, width: fixed ? size[1] : undefined }
}

/** Resizes to a size that is computed, int64 [height, width]. */
export function resizedTo(image: Image, target: Value, sampling: Sampling, context: Context): Image {
  const { ops, model } = context
  const { interpolation, antialias } = sampling
  const smooth = antialias && interpolation !== 'nearest'
  if (smooth && model.opset < 18)
    throw new OnnxError(
      'PROCESSING_OPSET',
      `resizing with antialias needs opset 18, and the model has ${model.opset}`,
      {
        hint: 'Export the model with a higher opset, or set antialias=false.',
      },
    )
  // ONNX Runtime samples in two directions either channels first or, when linear, channels last.
  const cubic = interpolation === 'cubic'
  let pixels = withBatch(cubic ? toLayout(image, 'CHW', context) : image, true, context)
  if (cubic && !smooth) pixels = toFloat(pixels, context)
  const axis = axisOf(pixels, 'c')
  const channels = ops.sizes(pixels.value, axis, axis + 1)
  const sizes = ops.op('Concat', pixels.layout === 'HWC' ? [[1], target, channels] : [[1], channels, target], {
    axis: 0,
  })
  const resize = ops.op('Resize', [pixels.value, null, null, sizes], {
    mode: interpolation,
    // What lies outside of the image does not count, as in Pillow: else edges would weigh more.
    ...(smooth ? { antialias: 1, exclude_outside: 1 } : {}),
    ...(cubic ? { cubic_coeff_a: smooth ? -0.5 : -0.75 } : {}),
    ...(interpolation === 'nearest' ? { nearest_mode: 'round_prefer_ceil' } : {}),
  })
  const value = pixels.dtype === 'float32' && cubic ? ops.op('Clip', [resize, ops.floats(0), ops.floats(255)]) : resize
  return { ...pixels, value }
}

/** The middle of an image, rounded towards its beginning. */
export function cropped(
  image: Image,
  [height, width]: readonly [number, number],
  context: Context,
  step: string,
): Image {
  const { ops } = context
  if ((image.height ?? height) < height || (image.width ?? width) < width)
    throw mismatch(step, `cuts ${height}x${width} out of ${image.height}x${image.width}, which '${image.by}' gives`)
  if (image.height === height && image.width === width) return image
  const size = ops.ints([height, width])
  const rest = ops.op('Max', [ops.op('Sub', [sizeIn(image, context), size]), ops.ints([0])])
  const start = ops.op('Div', [rest, ops.ints([2])])
  const axis = axisOf(image, 'h')
  const value = ops.op('Slice', [image.value, start, ops.op('Add', [start, size]), [axis, axis + 1]])
  follow(context, undefined, ops.op('Neg', [ops.cast(start, 'float32')]))
  return { ...image, value, height, width }
}

/** Pads all sides alike (the later one gets the odd pixel) to [height, width]; crops where the image is larger. */
export function letterBoxed(image: Image, size: readonly [number, number], fill: number, context: Context): Image {
  const { ops } = context
  const missing = ops.op('Sub', [ops.ints(size), sizeIn(image, context)])
  // Rounded down for negative numbers too.
  const half = ops.op('Floor', [ops.op('Mul', [ops.cast(missing, 'float32'), ops.floats(0.5)])])
  const begin = ops.cast(half, 'int64')
  const end = ops.op('Sub', [missing, begin])
  const around = (pad: Value) => {
    const parts = image.layout === 'HWC' ? [pad, ops.ints([0])] : [ops.ints([0]), pad]
    return image.batch ? [ops.ints([0]), ...parts] : parts
  }
  const pads = ops.op('Concat', [...around(begin), ...around(end)], { axis: 0 })
  const value = ops.op('Pad', [image.value, pads, ops.constant(Tensor.from(image.dtype!, [], [fill]))])
  follow(context, undefined, half)
  return { ...image, value, height: size[0], width: size[1] }
}

/** Remembers where positions of the original are by now. */
function follow(context: Context, ratio: Value | undefined, shift: Value | undefined): void {
  const { ops } = context
  if (ratio) {
    context.scale = context.scale ? ops.op('Mul', [context.scale, ratio]) : ratio
    if (context.offset) context.offset = ops.op('Mul', [context.offset, ratio])
  }
  if (shift) context.offset = context.offset ? ops.op('Add', [context.offset, shift]) : shift
}
