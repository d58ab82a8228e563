/**
 * Plain JavaScript that does to pixels what the steps do, for comparison: resampling as published for Pillow (weights of a triangle or
 * of a cubic with a = -0.5, stretched when the image gets smaller), both directions one after the other.
 */

const triangle = (x) => Math.max(0, 1 - Math.abs(x))
const cubic = (x) => {
  const at = Math.abs(x)
  if (at >= 2) return 0
  return at < 1 ? (1.5 * at - 2.5) * at * at + 1 : ((-0.5 * at + 2.5) * at - 4) * at + 2
}

/** For each of `to` positions: the first of `from` that counts, and the weights from there. */
function weightsOf(from, to, kind) {
  const [filter, radius] = kind === 'cubic' ? [cubic, 2] : [triangle, 1]
  const scale = from / to
  const stretch = Math.max(1, scale)
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale
    const first = Math.max(0, Math.floor(centre - radius * stretch + 0.5))
    const end = Math.min(from, Math.floor(centre + radius * stretch + 0.5))
    const weights = Float32Array.from({ length: end - first }, (_, j) => filter((first + j + 0.5 - centre) / stretch))
    const sum = weights.reduce((total, weight) => total + weight, 0)
    return { first, weights: weights.map((weight) => weight / sum) }
  })
}

/**
 * Resizes pixels of `channels` bytes, of which the first three count.
 * @param {{ data: ArrayLike<number>, width: number, height: number, channels?: number }} image
 * @returns {{ data: Uint8Array, width: number, height: number }} RGB
 */
export function resize({ data, width, height, channels = 4 }, newHeight, newWidth, kind = 'linear') {
  const across = weightsOf(width, newWidth, kind)
  const down = weightsOf(height, newHeight, kind)
  const clip = (value) => Math.max(0, Math.min(255, Math.round(value)))
  const middle = new Uint8Array(height * newWidth * 3)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < newWidth; x++) {
      const { first, weights } = across[x]
      let at = (y * width + first) * channels
      let [r, g, b] = [0, 0, 0]
      for (let i = 0; i < weights.length; i++, at += channels) {
        const weight = weights[i]
        r += data[at] * weight
        g += data[at + 1] * weight
        b += data[at + 2] * weight
      }
      const to = (y * newWidth + x) * 3
      middle[to] = clip(r)
      middle[to + 1] = clip(g)
      middle[to + 2] = clip(b)
    }
  }
  const result = new Uint8Array(newHeight * newWidth * 3)
  const row = newWidth * 3
  const sums = new Float32Array(row)
  for (let y = 0; y < newHeight; y++) {
    const { first, weights } = down[y]
    sums.fill(0)
    for (let i = 0; i < weights.length; i++) {
      const weight = weights[i]
      const from = (first + i) * row
      for (let x = 0; x < row; x++) sums[x] += middle[from + x] * weight
    }
    for (let x = 0; x < row; x++) result[y * row + x] = clip(sums[x])
  }
  return { data: result, width: newWidth, height: newHeight }
}

/** The middle of RGB pixels. */
export function crop({ data, width, height }, newHeight, newWidth) {
  const top = Math.floor((height - newHeight) / 2)
  const left = Math.floor((width - newWidth) / 2)
  const result = new Uint8Array(newHeight * newWidth * 3)
  for (let y = 0; y < newHeight; y++) {
    const from = ((top + y) * width + left) * 3
    result.set(data.subarray(from, from + newWidth * 3), y * newWidth * 3)
  }
  return { data: result, width: newWidth, height: newHeight }
}

/** RGB pixels as floats, channels first: (x / 255 - mean) / std. */
export function normalize({ data, width, height }, mean, std) {
  const count = width * height
  const result = new Float32Array(count * 3)
  for (let c = 0; c < 3; c++)
    for (let i = 0; i < count; i++) result[c * count + i] = (data[i * 3 + c] / 255 - mean[c]) / std[c]
  return result
}

/** What `imagenet` does: shorter side to 256, the middle 224 x 224, floats. */
export function imagenet(image) {
  const ratio = 256 / Math.min(image.width, image.height)
  const resized = resize(image, Math.round(image.height * ratio), Math.round(image.width * ratio))
  return normalize(crop(resized, 224, 224), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
}

/** A picture with edges, gradients and noise, the same every time: RGBA. */
export function picture(width, height, seed = 1) {
  const data = new Uint8Array(width * height * 4)
  let state = seed
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      const noise = (state >>> 24) - 128
      const at = (y * width + x) * 4
      data[at] = Math.max(0, Math.min(255, (x * 255) / width + noise / 8))
      data[at + 1] = (x >> 3) % 2 === (y >> 4) % 2 ? 230 : 20
      data[at + 2] = Math.max(0, Math.min(255, (y * 255) / height - noise / 2))
      data[at + 3] = 255
    }
  return { data, width, height, channels: 4 }
}
