import type { Model } from '../../graph/model.ts'
import type { Dim } from '../../graph/types.ts'
import type { Value } from '../../graph/value.ts'
import { OnnxError } from '../../onnx/errors.ts'
import { nearest } from '../../params/nearest.ts'
import type { Context } from './context.ts'
import { channelCount, type Flow, type Image, mismatch, type Sound } from './flow.ts'
import { bytes, toChannels, toFloat, toLayout, withBatch } from './steps/pixels.ts'
import { fitted } from './steps/samples.ts'

/** What an input of a model takes, seen as an image. */
export interface ImageInput {
  layout: 'HWC' | 'CHW'
  batch: boolean
  channels: number | undefined
  height: number | undefined
  width: number | undefined
}

/** Inputs that callers feed. */
export function inputsOf(model: Model): Value[] {
  return model.graph.inputs.filter((value) => !value.tensor && !value.sparse)
}

/**
 * The input that the steps lead to: the one that is named, else the only one that fits.
 *
 * @throws OnnxError `PROCESSING_INPUT`
 */
export function findInput(model: Model, name: unknown, kind: 'image' | 'sound'): Value {
  const inputs = inputsOf(model)
  const described = inputs.map((value) => `${value.name} (${value.dtype ?? '?'} [${shown(value.shape)}])`).join(', ')
  const fail = (what: string, hint: string) => new OnnxError('PROCESSING_INPUT', what, { hint })
  if (typeof name === 'string') {
    const found = inputs.find((value) => value.name === name)
    if (found) return found
    const near = nearest(
      name,
      inputs.map((value) => value.name),
    )
    throw fail(`the model has no input "${name}"`, `${near ? `Did you mean "${near}"? ` : ''}Its inputs: ${described}.`)
  }
  const fitting = inputs.filter((value) => (kind === 'image' ? imageInput(value) : soundLike(value)))
  if (fitting.length === 1) return fitting[0]!
  throw fitting.length
    ? fail(
        `the model has several inputs for ${kind === 'image' ? 'an image' : 'sound'}`,
        `Set input=... to one of ${fitting.map((value) => value.name).join(', ')}.`,
      )
    : fail(
        `the model has no input that looks like ${kind === 'image' ? 'an image' : 'sound'}`,
        `Its inputs: ${described}. Set input=... if one of them is.`,
      )
}

/** How an input takes an image, or undefined if it does not look like one. */
export function imageInput({ dtype, shape }: Value): ImageInput | undefined {
  if (!shape || (shape.length !== 4 && shape.length !== 3) || (dtype && !/^(float|uint8|int8|int32)/.test(dtype)))
    return undefined
  const batch = shape.length === 4
  const [a, b, c] = (batch ? shape.slice(1) : shape) as [Dim, Dim, Dim]
  const isCount = (dim: Dim) => dim === 1 || dim === 3
  const number = (dim: Dim) => (typeof dim === 'number' && dim > 0 ? dim : undefined)
  if (isCount(a) || (batch && !isCount(c) && !number(a)))
    return { layout: 'CHW', batch, channels: number(a), height: number(b), width: number(c) }
  return isCount(c) ? { layout: 'HWC', batch, channels: number(c), height: number(a), width: number(b) } : undefined
}

function soundLike({ dtype, shape }: Value): boolean {
  return /^float/.test(dtype ?? '') && (shape?.length === 1 || shape?.length === 2 || shape?.length === 3)
}

/**
 * Hands an image to the model in the form that it takes: layout, batch, channels, element type.
 *
 * @param isOne it is one of several: the batch is made of all of them
 * @throws OnnxError `PROCESSING_STEPS` where sizes or channels do not fit
 */
export function fitImage(image: Image, target: Value, context: Context, isOne = false): Value {
  const { ops } = context
  const wanted = imageInput(target)
  const describe = `the input "${target.name}" of the model, [${shown(target.shape)}]`
  const batch = target.shape?.length === 4 ? target.shape[0] : undefined
  if (!isOne && typeof batch === 'number' && batch > 1)
    throw mismatch(image.by, `gives one image, and ${describe} takes ${batch} at once`)
  let pixels = image
  if (wanted) {
    if (pixels.channels === 'rgba') pixels = toChannels(pixels, wanted.channels === 1 ? 'grey' : 'rgb', context)
    const count = channelCount(pixels.channels)
    if (wanted.channels !== undefined && count !== wanted.channels)
      throw mismatch(image.by, `gives ${count} channels (${pixels.channels}), which ${describe} does not take`)
    for (const side of ['height', 'width'] as const)
      if (wanted[side] && pixels[side] && wanted[side] !== pixels[side])
        throw mismatch(
          image.by,
          `gives images of ${pixels.height}x${pixels.width}, and ${describe} takes ${wanted.height ?? '?'}x${wanted.width ?? '?'}`,
        )
    pixels = withBatch(toLayout(pixels, wanted.layout, context), wanted.batch && !isOne, context)
  }
  const dtype = target.dtype ?? 'float32'
  if (dtype === pixels.dtype) return pixels.value
  if (dtype === 'uint8') return bytes(pixels.value, context)
  return dtype === 'float32' ? toFloat(pixels, context).value : ops.cast(pixels.value, dtype)
}

/**
 * Hands samples, a spectrogram or any tensor to the model. Samples get the length that the model wants.
 *
 * @throws OnnxError `PROCESSING_STEPS` where dimensions or sizes do not fit
 */
export function fitTensor(flow: Flow, target: Value, context: Context): Value {
  const { ops } = context
  const dtype = target.dtype ?? flow.dtype
  let { value } = flow
  if (flow.kind === 'sound')
    value = withAxes(fitSamples(flow, target, context), target.shape?.length ?? 1, samplesAt(target.shape), 1, ops)
  else if (flow.kind === 'spectrum') {
    const { shape } = target
    const last = shape?.slice(-2)
    const wrong = flow.sizes?.some((size, i) => size && typeof last?.[i] === 'number' && last[i] !== size)
    if (wrong || (shape && shape.length < 2)) {
      const sizes = flow.sizes?.map((size) => size ?? '?').join(', ') ?? '?, ?'
      throw mismatch(
        flow.by,
        `gives [${sizes}], and the input "${target.name}" of the model is [${shown(shape)}]`,
        'Set the number of bands: mels.',
      )
    }
    const rank = shape?.length ?? 2
    value = withAxes(value, rank, rank - 2, 2, ops)
  }
  return dtype === undefined || dtype === flow.dtype ? value : ops.cast(value, dtype)
}

/** Which dimension of an input holds samples: the last, or the one before a last one of 1. */
function samplesAt(shape: readonly Dim[] | undefined): number {
  const rank = shape?.length ?? 1
  return rank === 3 && shape![2] === 1 && shape![1] !== 1 ? 1 : rank - 1
}

function fitSamples({ value, length, by }: Sound, target: Value, context: Context): Value {
  const wanted = target.shape?.[samplesAt(target.shape)]
  if (typeof wanted !== 'number' || wanted === length) return value
  if (length === undefined) return fitted(value, wanted, context)
  throw mismatch(by, `gives ${length} samples, and the input "${target.name}" of the model is [${shown(target.shape)}]`)
}

/** The value, which has `own` dimensions, with dimensions of 1 around them; the first of its own is to be at `at`. */
function withAxes(value: Value, rank: number, at: number, own: number, ops: Context['ops']): Value {
  const axes = Array.from({ length: rank }, (_, i) => i).filter((i) => i < at || i >= at + own)
  return axes.length ? ops.op('Unsqueeze', [value, axes]) : value
}

/** A shape for messages: `1, ?, width`. */
export function shown(shape: readonly Dim[] | undefined): string {
  return shape ? shape.map((dim) => dim ?? '?').join(', ') : '...'
}
