const float = new Float32Array(1)
const bits = new Uint32Array(float.buffer)

/** How float16 is read and written: only modules of models with such inputs or outputs bring the code. */
export interface HalfCodec {
  toHalf(value: number): number
  fromHalf(half: number): number
}

/**
 * Bits of the float16 nearest to a number, ties to even, from 65520 on infinity. The number is rounded to float32 first,
 * so that the result is that of casting the float32 tensor.
 */
export function toHalf(value: number): number {
  float[0] = value
  const word = bits[0]!
  const sign = (word >>> 16) & 0x8000
  const magnitude = word & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00
  if (magnitude >= 0x47800000) return sign | 0x7c00
  // Subnormal halves are multiples of 2^-24: the sum lets the hardware round at that bit.
  if (magnitude < 0x38800000) {
    float[0] = Math.abs(float[0]) + 0.5
    return sign | (bits[0]! - 0x3f000000)
  }
  // Rebias the exponent, add half a unit (less one where the kept bit is even), drop 13 bits. May carry into infinity.
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13)
}

/** The number that the bits of a float16 stand for. */
export function fromHalf(half: number): number {
  const magnitude = half & 0x7fff
  const sign = half & 0x8000 ? -1 : 1
  if (magnitude < 0x400) return sign * magnitude * 2 ** -24
  bits[0] = magnitude >= 0x7c00 ? 0x7f800000 | ((magnitude & 0x3ff) << 13) : (magnitude << 13) + 0x38000000
  return sign * float[0]!
}

/** What an emitted module passes on for a model with float16 inputs or outputs. */
export const half: HalfCodec = { toHalf, fromHalf }
