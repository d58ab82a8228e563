import { imageReader, type Pixels } from './media.ts'

interface Bitmap {
  width: number
  height: number
  close(): void
}
interface Scope {
  Blob: new (parts: unknown[]) => object
  OffscreenCanvas: new (
    width: number,
    height: number,
  ) => {
    getContext(kind: '2d'): {
      drawImage(source: Bitmap, x: number, y: number): void
      getImageData(x: number, y: number, width: number, height: number): Pixels
    }
  }
  createImageBitmap(source: unknown): Promise<Bitmap>
}

/** Reads whatever the browser can make a bitmap of: canvases, frames, elements, files and their bytes. */
export const readImage: ReturnType<typeof imageReader> = /* @__PURE__ */ imageReader(
  async (source: { byteLength?: number }) => {
    const scope = globalThis as unknown as Scope
    const bitmap = await scope.createImageBitmap(source.byteLength ? new scope.Blob([source]) : source)
    const { width, height } = bitmap
    const context = new scope.OffscreenCanvas(width, height).getContext('2d')
    context.drawImage(bitmap, 0, 0)
    bitmap.close()
    return context.getImageData(0, 0, width, height)
  },
)
