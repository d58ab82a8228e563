import { type Arguments, type Context, needsOne, numbersOf, type Step, sizeOf } from '../context.ts'
import { channelCount, expect, type Flow, type Image, mismatch } from '../flow.ts'
import type { ImageInput } from '../model-input.ts'
import { cropped, type Interpolation, letterBoxed, type Policy, resized, resizedTo, type Sampling } from './geometry.ts'
import {
  bytes,
  fromYCbCr,
  normalized,
  scaled,
  toBytes,
  toChannels,
  toFloat,
  toLayout,
  toYCbCr,
  withBatch,
} from './pixels.ts'

/** Means and standard deviations of the ImageNet training images, RGB from 0 to 1. */
const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }

/** A step that takes one image and gives one. */
function onImage(apply: (image: Image, args: Arguments, context: Context, name: string) => Image): Step {
  return ([flow, ...rest], args, context, name) => {
    const image = asImage(name, flow, context)
    return [{ ...apply(image, args, context, name), by: name, name: undefined }, ...rest]
  }
}

/** An output of the model that is an image is taken as one. */
function asImage(name: string, flow: Flow | undefined, context: Context): Image {
  if (flow?.kind !== 'tensor') return expect(name, flow, 'image')
  const { shape = [], by } = flow
  const { ops } = context
  const [rank, first, last] = [shape.length, shape.at(-3), shape.at(-1)]
  const isFirst = first === 1 || first === 3
  if (rank < 2 || rank > 4 || (rank > 2 && !isFirst && last !== 1 && last !== 3)) return expect(name, flow, 'image')
  // Two dimensions are one plane.
  const value = rank === 2 ? ops.op('Unsqueeze', [flow.value, [-1]]) : flow.value
  const floats = flow.dtype === 'uint8' || flow.dtype === 'float32' ? value : ops.cast(value, 'float32')
  const dtype = flow.dtype === 'uint8' ? 'uint8' : 'float32'
  const layout = rank > 2 && isFirst ? 'CHW' : 'HWC'
  const channels = rank === 2 || (isFirst ? first : last) === 1 ? 'y' : 'rgb'
  return { kind: 'image', value: floats, dtype, layout, batch: rank === 4, channels, by }
}

function samplingOf({ interpolation, antialias }: Arguments): Sampling {
  return { interpolation: interpolation as Interpolation, antialias: antialias as boolean }
}

function policyOf(policy: unknown): Policy {
  return policy === 'not_smaller' ? 'notSmaller' : policy === 'not_larger' ? 'notLarger' : (policy as Policy)
}

/** Everything that `image` does; sizes and channels are the model's own unless given. */
export function prepareImage(
  flow: Image,
  args: Arguments,
  target: ImageInput | undefined,
  context: Context,
  step: string,
): Image {
  const fixed = target?.height && target.width ? ([target.height, target.width] as const) : undefined
  const size = sizeOf(step, 'size', args['size']) ?? fixed
  if (!size)
    throw mismatch(
      step,
      'needs a size: that of the model is dynamic',
      `Set it, e.g. ${step}(size:224). Steps that leave the size as it is: channels, imageBytesToFloat, normalize.`,
    )
  const shorter = args['resize'] as number | undefined
  const [height, width] = size
  const fit = args['fit'] as 'cover' | 'contain' | 'stretch'
  const sampling = samplingOf(args)
  let image = flow
  if (fit === 'stretch') image = resized(image, size, 'stretch', sampling, context)
  else if (fit === 'contain') image = resized(image, size, 'notLarger', sampling, context)
  else {
    const larger = shorter === undefined ? 1 : shorter / Math.min(height, width)
    if (larger < 1) throw mismatch(step, `crops ${height}x${width} out of a shorter side of ${shorter}`)
    image = resized(image, [Math.round(height * larger), Math.round(width * larger)], 'notSmaller', sampling, context)
    image = cropped(image, size, context, step)
  }
  const channels = args['channels'] ?? (target?.channels === 1 ? 'grey' : 'rgb')
  image = toChannels(image, channels as 'rgb', context, step)
  if (fit === 'contain') image = letterBoxed(image, size, args['fill'] as number, context)
  // Fewer bytes move than floats would.
  if (target) image = toLayout(image, target.layout, context)
  return normalized(image, { mean: args['mean'], std: args['std'], factor: args['scale'] as number }, context, step)
}

/** Arguments of `imagenet` as those of `image`. */
export function imagenetArguments(args: Arguments, target: ImageInput | undefined): Arguments {
  const [height, width] = sizeOf('imagenet', 'size', args['size']) ?? [target?.height, target?.width]
  const shorter = height && width ? Math.round((Math.min(height, width) * 256) / 224) : undefined
  const grey = (args['channels'] ?? (target?.channels === 1 ? 'grey' : 'rgb')) === 'grey'
  return { ...(grey ? { mean: 0.449, std: 0.226 } : IMAGENET), resize: shorter, ...args }
}

export const imageSteps: Readonly<Record<string, Step>> = {
  resize: onImage((image, args, context, name) => {
    const size = sizeOf(name, 'resizeTo', args['resizeTo'])
    if (!size) throw mismatch(name, 'needs a size', 'e.g. resize(256)')
    const changed = resized(image, size, policyOf(args['policy']), samplingOf(args), context)
    // The next step finds what the one before left: no batch, the same layout.
    return withBatch(toLayout(changed, image.layout, context), image.batch, context)
  }),
  centerCrop: onImage((image, { height, width }, context, name) => {
    const size = (height ?? width) as number | undefined
    if (!size) throw mismatch(name, 'needs a size', 'e.g. centerCrop(224)')
    return cropped(image, [size, (width ?? size) as number], context, name)
  }),
  letterBox: onImage((image, { targetShape, fillValue }, context, name) => {
    const size = sizeOf(name, 'targetShape', targetShape)
    if (!size) throw mismatch(name, 'needs a size', 'e.g. letterBox(640)')
    // Alpha would be padded with the same value.
    const pixels = image.channels === 'rgba' ? toChannels(image, 'rgb', context) : image
    return letterBoxed(pixels, size, fillValue as number, context)
  }),
  channels: onImage((image, { to }, context) => toChannels(image, to as 'rgb', context)),
  convertImageToBGR: onImage((image, _, context, name) => toChannels(image, 'bgr', context, name)),
  convertBGRToImage: onImage((image, _, context, name) => {
    const pixels = toBytes(toLayout(image, 'HWC', context), context)
    return pixels.channels === 'bgr' ? toChannels(pixels, 'rgb', context, name) : pixels
  }),
  pixelsToYCbCr: ([flow, ...rest], _, context, name) => {
    const y = toYCbCr(asImage(name, flow, context), context, name)
    const { cb, cr } = context.planes!
    context.planes = { cb: { ...cb, by: name }, cr: { ...cr, by: name } }
    return [{ ...y, by: name }, context.planes.cb, context.planes.cr, ...rest]
  },
  yCbCrToPixels: ([flow, ...rest], args, context, name) => {
    const y = asImage(name, flow, context)
    if (channelCount(y.channels) !== 1) throw mismatch(name, 'takes brightness, one channel')
    const [cb, cr, ...others] = rest
    const given = cb?.kind === 'image' && cr?.kind === 'image' ? { cb, cr } : undefined
    const image = mergeColours(y, args['interpolation'], given ? { ...context, planes: given } : context, name)
    return [{ ...image, by: name, name: undefined }, ...(given ? others : rest)]
  },
  imageBytesToFloat: onImage((image, { rescaleFactor }, context) => scaled(image, rescaleFactor as number, context)),
  floatToImageBytes: onImage((image, { multiplier }, context) => {
    const pixels = scaled(image, multiplier as number, context)
    // Brightness goes on as float: colours are joined to it.
    if (image.channels !== 'y') return { ...pixels, dtype: 'uint8', value: bytes(pixels.value, context) }
    const { ops } = context
    return { ...pixels, value: ops.op('Clip', [ops.round(pixels.value), ops.floats(0), ops.floats(255)]) }
  }),
  toImage: ([flow, ...rest], { scale, mean, std, channels }, context, name) => {
    needsOne(name, context)
    const given = asImage(name, flow, context)
    const [factors, shifts] = [numbersOf(std) ?? [1], numbersOf(mean) ?? [0]]
    // (x * std + mean) * scale, as the inverse of what `normalize` does.
    const inverse = {
      std: factors.map((factor) => 1 / factor),
      mean: Array.from({ length: Math.max(factors.length, shifts.length) }, (_, i) => {
        const at = (list: readonly number[]) => list[list.length === 1 ? 0 : i]!
        return -at(shifts) / at(factors)
      }),
    }
    const floats = given.dtype === 'uint8' ? given : normalized(given, inverse, context, name)
    const scaledUp = given.dtype === 'uint8' ? floats : scaled(floats, scale as number, context)
    let pixels = withBatch(toLayout(toBytes(scaledUp, context), 'HWC', context), false, context)
    if (channels === 'bgr' && pixels.channels === 'rgb')
      pixels = { ...toChannels({ ...pixels, channels: 'bgr' }, 'rgb', context, name) }
    return [{ ...pixels, by: name, name: 'image' }, ...rest]
  },
  normalize: onImage((image, { mean, std, normalizationValues }, context, name) => {
    const pairs = numbersOf(normalizationValues)
    if (!pairs) return normalized(image, { mean, std }, context, name)
    if (pairs.length % 2) throw mismatch(name, `takes pairs of mean and std, not ${pairs.length} numbers`)
    const every = (from: number) => pairs.filter((_, i) => i % 2 === from)
    return normalized(image, { mean: every(0), std: every(1) }, context, name)
  }),
  channelsLastToChannelsFirst: onImage((image, _, context) => toLayout(image, 'CHW', context)),
  channelsFirstToChannelsLast: onImage((image, _, context) => toLayout(image, 'HWC', context)),
}

/** The model's brightness and the planes beside it as RGB bytes HWC. */
export function mergeColours(y: Image, interpolation: unknown, context: Context, step: string): Image {
  const { ops, planes } = context
  if (!planes)
    throw mismatch(
      step,
      'needs colour planes, and no step before the model keeps them',
      'Preprocess with pixelsToYCbCr or superresolution.',
    )
  const bright = withBatch(toLayout(toFloat(y, context), 'HWC', context), true, context)
  const size = ops.sizes(bright.value, 1, 3)
  const sampling = { interpolation: interpolation as Interpolation, antialias: true }
  const colour = (plane: Image) =>
    toLayout(resizedTo(withBatch(toFloat(plane, context), true, context), size, sampling, context), 'HWC', context)
      .value
  const value = fromYCbCr(bright.value, colour(planes.cb), colour(planes.cr), context)
  const { by } = y
  return withBatch(
    { kind: 'image', value, dtype: 'uint8', layout: 'HWC', batch: true, channels: 'rgb', by },
    false,
    context,
  )
}

/** `perms`, `axes` on an image, where they mean another layout or the batch. */
export function imageAxes(
  image: Image,
  kind: 'transpose' | 'unsqueeze' | 'squeeze',
  given: unknown,
  context: Context,
  step: string,
): Image {
  const list = numbersOf(given) ?? [0]
  if (kind !== 'transpose') {
    // A plane is an image with one channel: its own dimension comes and goes with the batch.
    if (channelCount(image.channels) === 1 && list.join() === '0,1')
      return withBatch(toLayout(image, 'CHW', context), kind === 'unsqueeze', context)
    if (list.length !== 1 || list[0] !== 0) throw mismatch(step, 'adds or takes the batch of an image: axes must be 0')
    return withBatch(image, kind === 'unsqueeze', context)
  }
  const order = (image.batch ? list.slice(1).map((axis) => axis - 1) : list).join()
  const layout =
    order === '2,0,1' && image.layout === 'HWC'
      ? 'CHW'
      : order === '1,2,0' && image.layout === 'CHW'
        ? 'HWC'
        : undefined
  if (!layout) throw mismatch(step, `cannot reorder ${image.layout} by [${list}]`)
  return toLayout(image, layout, context)
}
