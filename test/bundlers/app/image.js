/** A handwritten seven: the eighth image of fixtures/digits.json. */
// biome-ignore format: 8x8 pixels
export const image = Float32Array.from([
  0, 0, 2, 13, 16, 9, 0, 0,
  0, 0, 12, 12, 7, 16, 3, 0,
  0, 1, 14, 3, 0, 16, 4, 0,
  0, 0, 0, 4, 10, 16, 6, 0,
  0, 0, 0, 13, 16, 16, 9, 0,
  0, 0, 0, 5, 13, 1, 0, 0,
  0, 0, 0, 11, 9, 0, 0, 0,
  0, 0, 1, 16, 4, 0, 0, 0,
], (pixel) => pixel / 16)
