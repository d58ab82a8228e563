import { imageReader, type Pixels } from './media.ts'

/** The part of sharp that is used. */
interface Sharp {
  rotate(): Sharp
  clone(): Sharp
  toColourspace(name: string): {
    raw(): { toBuffer(options: object): Promise<{ data: NonNullable<Pixels['data']>; info: Pixels }> }
  }
}
type Source = Partial<Sharp> & { byteLength?: number; arrayBuffer?(): Promise<ArrayBuffer> }

/** Not seen by bundlers: the package is needed for files alone. */
const SHARP = 'sharp'

/** Reads images of sharp, and files with it: those turned as they say themselves, as browsers do. */
export const readImage: ReturnType<typeof imageReader> = /* @__PURE__ */ imageReader(async (source: Source) => {
  const bytes = source.byteLength ? source : await source.arrayBuffer?.()
  if (!bytes && !source.clone) return {}
  const image = bytes ? (await open(bytes)).rotate() : (source as Sharp).clone()
  const { data, info } = await image.toColourspace('srgb').raw().toBuffer({ resolveWithObject: true })
  return { ...info, data }
})

async function open(bytes: object): Promise<Sharp> {
  const { default: sharp } = await import(/* webpackIgnore: true */ /* @vite-ignore */ SHARP).catch(() => {
    throw new Error('files are read by the package sharp, which is not installed')
  })
  return (sharp as (input: object) => Sharp)(bytes)
}
