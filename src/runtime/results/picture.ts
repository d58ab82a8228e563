import { OnnxSessionError } from '../error.ts'
import type { RawImage } from '../types.ts'

/** An output of the model: bytes [height, width, 1 or 3]. */
type Pixels = { readonly dims: readonly number[]; readonly data: ArrayLike<unknown> }

/**
 * Bytes of an image, or its brightness alone, as RGBA.
 *
 * @throws OnnxSessionError OUTPUT_IMAGE where the tensor is no image
 */
export function toRgba({ dims, data }: Pixels): RawImage {
  const [height = 0, width = 0, channels = 0] = dims.length === 4 && dims[0] === 1 ? dims.slice(1) : dims
  if (!(data instanceof Uint8Array) || data.length !== height * width * channels || (channels !== 1 && channels !== 3))
    throw new OnnxSessionError('OUTPUT_IMAGE', `no image: [${dims}], where bytes [height, width, 1 or 3] are one`)
  const rgba = new Uint8ClampedArray(height * width * 4).fill(255)
  for (let from = 0, to = 0; from < data.length; from += channels, to += 4)
    for (let channel = 0; channel < 3; channel++) rgba[to + channel] = data[from + (channels === 3 ? channel : 0)]!
  return { data: rgba, width, height, channels: 4 }
}
