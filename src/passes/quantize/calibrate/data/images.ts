import { createRequire } from 'node:module'
import type { Sharp } from 'sharp'
import { Tensor } from '../../../../graph/tensor.ts'
import { OnnxError } from '../../../../onnx/errors.ts'
import { imageFiles } from './image-files.ts'
import { badData, type CalibrationData, type DataRequest, describeInput, type Feeds, type InputSpec } from './types.ts'

/** How pixels become what the model takes. */
export interface ImageOptions {
  /** Height and width, where the input does not say; one number for both. */
  imageSize?: readonly string[] | undefined
  /** `cover` cuts what is too much off, `contain` fills up with black, `fill` stretches. Default `cover`. */
  imageFit?: 'cover' | 'contain' | 'fill' | undefined
  /** The middle part that is kept, 0..1: images are made larger by its inverse first. Default 1. */
  imageCrop?: number | undefined
  /** Default `rgb`. */
  imageOrder?: 'rgb' | 'bgr' | undefined
  /** Pixels, 0..255, are multiplied by it. Default 1/255. */
  imageScale?: number | undefined
  /** Subtracted afterwards, by channel or for all; then divided by `imageStd`. */
  imageMean?: readonly string[] | undefined
  imageStd?: readonly string[] | undefined
}

/** What an input of images looks like. */
interface Layout {
  input: InputSpec
  height: number
  width: number
  channels: 1 | 3
  /** True for [N, H, W, C]. */
  channelsLast: boolean
}

type SharpModule = (input: string) => Sharp

/** A folder of images: one sample each, in the order of their names. Inputs of whole numbers take the pixels as they are. */
export function imageData(request: DataRequest, options: ImageOptions, model: string): CalibrationData {
  const { path } = request
  const layout = layoutOf(request, options)
  const numbers = numbersOf(layout, options)
  return {
    async *open(): AsyncGenerator<Feeds> {
      const sharp = await loadSharp([model, import.meta.url], path)
      for (const file of imageFiles(path)) {
        let pixels: Uint8Array
        try {
          pixels = await read(sharp(file), layout, options)
        } catch (error) {
          throw badData(`the image can't be read: ${(error as Error).message}`, file, undefined, error)
        }
        yield { [layout.input.name]: tensorOf(pixels, layout, numbers) }
      }
    },
  }
}

/**
 * The library `sharp`, which the user installs.
 *
 * @param places files to look for it from
 * @throws OnnxError `SHARP_MISSING`
 */
export async function loadSharp(places: readonly string[], path: string): Promise<SharpModule> {
  for (const place of places) {
    try {
      return createRequire(place)('sharp') as SharpModule
    } catch {
      // Not there: the next place.
    }
  }
  throw new OnnxError('SHARP_MISSING', 'images are read with sharp, which is not installed', {
    place: { file: path },
    hint: 'npm install -D sharp, or give the images as .npz.',
  })
}

function layoutOf({ inputs, path }: DataRequest, { imageSize }: ImageOptions): Layout {
  const required = inputs.filter(({ optional }) => !optional)
  const [input] = required
  const invalid = (what: string, hint: string): OnnxError => badData(what, path, hint)
  if (required.length !== 1 || !input)
    throw invalid(
      'a folder of images is for models with one input',
      `The model's inputs are ${required.map(describeInput).join(', ')}.`,
    )
  const { shape } = input
  const isCount = (dim: unknown): dim is 1 | 3 => dim === 1 || dim === 3
  const channelsLast = !isCount(shape?.[1])
  const channels = channelsLast ? shape?.[3] : shape[1]
  if (shape?.length !== 4 || !isCount(channels))
    throw invalid(
      `${describeInput(input)} is no input of images: [N, C, H, W] or [N, H, W, C] with 1 or 3 channels`,
      'Give the data as .npz, or as a module that exports feeds.',
    )
  const asked = (imageSize ?? []).map(Number)
  const [height, width] = (channelsLast ? [1, 2] : [2, 3]).map((axis, i) => {
    const dim = shape[axis]
    return typeof dim === 'number' ? dim : (asked[i] ?? asked[0])
  })
  if (!height || !width || !Number.isInteger(height) || !Number.isInteger(width))
    throw invalid(`the model takes images of any size: ${describeInput(input)}`, 'Give imageSize HEIGHT,WIDTH.')
  return { input, height, width, channels, channelsLast }
}

interface Numbers {
  scale: number
  mean: number[]
  std: number[]
}

function numbersOf({ channels }: Layout, { imageScale, imageMean, imageStd }: ImageOptions): Numbers {
  const list = (name: string, texts: readonly string[] | undefined, fallback: number): number[] => {
    const values = (texts ?? [String(fallback)]).map(Number)
    const fits = values.length === 1 || values.length === channels
    if (!fits || !values.every((value) => Number.isFinite(value) && (name === 'imageMean' || value > 0)))
      throw new OnnxError('OPTION_INVALID', `${name} must be one number, or one of each of the ${channels} channels`, {
        hint: 'ImageNet: imageMean 0.485,0.456,0.406 and imageStd 0.229,0.224,0.225.',
      })
    return Array.from({ length: channels }, (_, i) => values[i] ?? values[0]!)
  }
  return { scale: imageScale ?? 1 / 255, mean: list('imageMean', imageMean, 0), std: list('imageStd', imageStd, 1) }
}

/** Pixels as [H, W, C]. */
async function read(
  image: Sharp,
  { height, width, channels }: Layout,
  { imageFit = 'cover', imageCrop = 1, imageOrder = 'rgb' }: ImageOptions,
): Promise<Uint8Array> {
  const [tall, wide] = [Math.round(height / imageCrop), Math.round(width / imageCrop)]
  const resized = image.resize(wide, tall, { fit: imageFit, background: '#000' }).flatten({ background: '#000' })
  const cropped =
    tall === height && wide === width
      ? resized
      : resized.extract({ left: (wide - width) >> 1, top: (tall - height) >> 1, width, height })
  const plain = channels === 1 ? cropped.greyscale().toColourspace('b-w') : cropped.toColourspace('srgb')
  const { data, info } = await plain.raw().toBuffer({ resolveWithObject: true })
  if (info.channels !== channels) throw new Error(`it has ${info.channels} channels instead of ${channels}`)
  if (channels === 3 && imageOrder === 'bgr')
    for (let i = 0; i < data.length; i += 3) [data[i], data[i + 2]] = [data[i + 2]!, data[i]!]
  return data
}

function tensorOf(
  pixels: Uint8Array,
  { input, height, width, channels, channelsLast }: Layout,
  numbers: Numbers,
): Tensor {
  const size = height * width
  const dims = channelsLast ? [1, height, width, channels] : [1, channels, height, width]
  const raw = input.dtype !== undefined && !input.dtype.includes('float')
  const values = new Float32Array(pixels.length)
  for (let i = 0; i < size; i++)
    for (let channel = 0; channel < channels; channel++) {
      const pixel = pixels[i * channels + channel]!
      const value = raw ? pixel : (pixel * numbers.scale - numbers.mean[channel]!) / numbers.std[channel]!
      values[channelsLast ? i * channels + channel : channel * size + i] = value
    }
  return raw ? Tensor.from(input.dtype!, dims, [...values]) : Tensor.float32(dims, values)
}
