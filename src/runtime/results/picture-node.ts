import { toRgba } from './picture.ts'
import type { ReadResult } from './predict.ts'

/** The image as bytes, as `sharp(data, { raw })` takes it. */
export const readPicture: ReadResult = (outputs, names) => [toRgba(outputs[names['image']!]!)]
