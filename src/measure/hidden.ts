import type { Tensor } from '../graph/tensor.ts'
import type { Feeds } from './isolated.ts'

/** The attention mask among the feeds: [batch, length] of zeros and ones. */
export function maskOf(feeds: Feeds): Tensor | undefined {
  const masks = Object.entries(feeds).filter(
    ([name, { dims }]) => /attention_mask|input_mask|^mask$/i.test(name) && dims.length === 2,
  )
  return masks.length === 1 ? masks[0]![1] : undefined
}

/**
 * Which rows of an output [batch, length, ...], or of a cache [batch, heads, length, size], belong to masked tokens. Models
 * compute something there, but it is decided by how they write minus infinity, and nobody reads it.
 */
export function hiddenRows({ dims }: Tensor, mask: Tensor): boolean[] | undefined {
  const [batch, width] = mask.dims as [number, number]
  const fits = (axis: number): boolean => dims.length > axis && dims[axis]! >= 2 && dims[axis]! <= width
  const axis = dims.length === 4 ? 2 : 1
  if (dims[0] !== batch || dims.length < 2 || !fits(axis)) return undefined
  const numbers = mask.toNumbers()
  const [heads, length] = [axis === 2 ? dims[1]! : 1, dims[axis]!]
  // With a cache the mask covers the past too: the outputs are those of the last tokens.
  return Array.from({ length: batch * heads * length }, (_, i) => {
    const [row, at] = [Math.floor(i / (heads * length)), i % length]
    return numbers[row * width + width - length + at] === 0
  })
}
