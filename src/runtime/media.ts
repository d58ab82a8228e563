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

/** What an emitted module calls for a model with inputs for images or sound, with what reads one. */
export function readMedia(read: ReadOne): MediaReader {
  return async (given, inputs) => {
    const isNamed =
      Object.getPrototypeOf(given) === Object.prototype &&
      Object.keys(given as object).every((key) => inputs.some(({ name }) => name === key))
    const feeds: Feeds = isNamed ? { ...(given as object) } : { [inputs.find(({ media }) => media)!.name]: given }
    for (const { name, media } of inputs) {
      const value = feeds[name] as Source | null | undefined
      if (media && value && typeof value === 'object' && !value.dims && !value.tensor && !Array.isArray(value))
        feeds[name] = await read(name, value, media)
    }
    return feeds
  }
}

/** Reader of images as bytes [height, width, channels]; `decode` is what the platform has. */
export function imageReader(decode: (source: never) => Promise<Pixels>): ReadOne {
  return async (input, source) => {
    const fail = (why: string, cause?: unknown) =>
      new OnnxSessionError('INPUT_IMAGE', `input "${input}": ${why}`, cause)
    const read = source.data
      ? source
      : await decode(source as never).catch((error: unknown) => {
          throw fail(`no image: ${reasonOf(error)}`, error)
        })
    const { width = 0, height = 0 } = read.info ?? read
    const { data } = read
    const channels = (data?.length ?? 0) / (width * height)
    if (data?.BYTES_PER_ELEMENT !== 1 || (channels !== 3 && channels !== 4))
      throw fail(`an image of ${width}x${height} pixels has 3 or 4 bytes for each, not ${data?.length} elements`)
    return { data: new Uint8Array(data.buffer, data.byteOffset, data.length), dims: [height, width, channels] }
  }
}
