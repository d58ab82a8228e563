import { toRgba } from './picture.ts'
import type { ReadResult } from './predict.ts'

interface Scope {
  ImageData: new (data: Uint8ClampedArray, width: number, height: number) => object
}

/** The image as an `ImageData`. */
export const readPicture: ReadResult = (outputs, names) => {
  const { data, width, height } = toRgba(outputs[names['image']!]!)
  return [new (globalThis as unknown as Scope).ImageData(data, width, height)]
}
