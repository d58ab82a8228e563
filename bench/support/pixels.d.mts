export interface Pixels {
  data: ArrayLike<number>
  width: number
  height: number
  channels?: number
}
export interface RgbPixels {
  data: Uint8Array
  width: number
  height: number
}
export function resize(image: Pixels, newHeight: number, newWidth: number, kind?: 'linear' | 'cubic'): RgbPixels
export function crop(image: RgbPixels, newHeight: number, newWidth: number): RgbPixels
export function normalize(image: RgbPixels, mean: readonly number[], std: readonly number[]): Float32Array
export function imagenet(image: Pixels): Float32Array
export function picture(width: number, height: number, seed?: number): RgbPixels & { channels: number }
