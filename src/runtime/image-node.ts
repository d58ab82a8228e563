import { imageReader, type Pixels } from './media.ts'

/** The part of sharp that is used. */
interface Sharp {
  clone?(): {
    toColourspace(name: string): {
      raw(): { toBuffer(options: object): Promise<{ data: NonNullable<Pixels['data']>; info: Pixels }> }
    }
  }
}

/** Reads images of sharp. */
export const readImage: ReturnType<typeof imageReader> = /* @__PURE__ */ imageReader(async (source: Sharp) => {
  if (!source.clone) return {}
  const { data, info } = await source.clone().toColourspace('srgb').raw().toBuffer({ resolveWithObject: true })
  return { ...info, data }
})
