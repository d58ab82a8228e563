import { OnnxSessionError, reasonOf } from './error.ts'
import type { IoInfo } from './types.ts'

type Feeds = { [name: string]: unknown }

/** Feeds by name, or an image or sound alone. Gives feeds by name, with pixels and samples as tensors. */
export type MediaReader = (given: unknown, inputs: readonly IoInfo[]) => Promise<Feeds>

/** Reads one image or sound for the input of this name. */
export type ReadOne = (input: string, source: Source, media: NonNullable<IoInfo['media']>) => unknown

/** Pixels: bytes, three or four for each. */
export interface Pixels {
  data?: Uint8Array<ArrayBuffer>
  width?: number
  height?: number
  /** Where sharp has the sizes. */
  info?: Pixels
}

interface Source extends Pixels {
  dims?: unknown
  tensor?: unknown
}

/** Feeds by name, or what goes into the input for images or sound. */
function byName(given: unknown, inputs: readonly IoInfo[]): Feeds {
  const isNamed =
    Object.getPrototypeOf(given) === Object.prototype &&
    Object.keys(given as object).every((key) => inputs.some(({ name }) => name === key))
  return isNamed ? { ...(given as object) } : { [inputs.find(({ media }) => media)!.name]: given }
}

/** What an emitted module calls for a model with inputs for images or sound, with what reads one. */
export function readMedia(read: ReadOne): MediaReader {
  return async (given, inputs) => {
    const feeds = byName(given, inputs)
    for (const { name, media } of inputs) {
      const value = feeds[name] as Source | null | undefined
      // Numbers, nested or not, are feeds as for any input.
      if (media && typeof [value].flat(9)[0] === 'object' && value && !value.dims && !value.tensor)
        feeds[name] = await read(name, value, media)
    }
    return feeds
  }
}

/**
 * What an emitted module calls for a model that takes several images, of any sizes: their bytes one after the other, and their
 * sizes for the input that takes them.
 */
export function readImages(read: ReadOne): MediaReader {
  return async (given, inputs) => {
    const feeds = byName(given, inputs)
    for (const { name, media } of inputs) {
      const { sizes } = (media ?? {}) as { sizes?: string }
      if (!sizes || feeds[sizes] || feeds[name] === undefined) continue
      const images = (await Promise.all([feeds[name]].flat().map((image) => read(name, image as Source, media!)))) as {
        data: Uint8Array
        dims: number[]
      }[]
      if (!images.length) throw new OnnxSessionError('INPUT_IMAGE', `input "${name}": no images`)
      const data = new Uint8Array(images.reduce((total, image) => total + image.data.length, 0))
      let offset = 0
      for (const image of images) {
        data.set(image.data, offset)
        offset += image.data.length
      }
      feeds[name] = { data, dims: [offset] }
      feeds[sizes] = images.map(({ dims }) => dims)
    }
    return readMedia(read)(feeds, inputs)
  }
}

/** Reader of images as bytes [height, width, channels]; `decode` is what the platform has. */
export function imageReader(decode: (source: never) => Promise<Pixels>): ReadOne {
  return async (input, source) => {
    const fail = (why: string, cause?: unknown) =>
      new OnnxSessionError('INPUT_IMAGE', `input "${input}": ${why}`, cause)
    const read = source?.data
      ? source
      : await decode(source as never).catch((error: unknown) => {
          throw fail(`no image: ${reasonOf(error)}`, error)
        })
    const { width = 0, height = 0 } = read.info ?? read
    const { data } = read
    const channels = (data?.length ?? 0) / (width * height)
    if (data?.BYTES_PER_ELEMENT !== 1 || (channels !== 3 && channels !== 4))
      throw fail(`an image of ${width}x${height} has 3 or 4 bytes per pixel, not ${data?.length} elements`)
    return { data: new Uint8Array(data.buffer, data.byteOffset, data.length), dims: [height, width, channels] }
  }
}
