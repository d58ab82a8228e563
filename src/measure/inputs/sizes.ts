import type { Dim } from '../../graph/types.ts'

/** Sizes of dynamic dimensions, by the role that their name or place suggests. */
export interface Sizes {
  batch: number
  sequence: number
  past: number
  /** Height and width of images. */
  image: number
  other: number
}

/**
 * What to try, in this order, until the model runs: some models accept one size only, and do not say so.
 */
export const SIZES: readonly Sizes[] = [
  { batch: 2, sequence: 16, past: 4, image: 32, other: 4 },
  { batch: 1, sequence: 8, past: 4, image: 224, other: 2 },
  { batch: 1, sequence: 8, past: 0, image: 64, other: 1 },
  { batch: 1, sequence: 1, past: 1, image: 28, other: 1 },
  { batch: 1, sequence: 64, past: 0, image: 256, other: 8 },
  { batch: 1, sequence: 512, past: 0, image: 96, other: 512 },
  // The first dimension may be the time.
  { batch: 32, sequence: 8, past: 0, image: 32, other: 4 },
  { batch: 1, sequence: 16000, past: 0, image: 512, other: 80 },
]

/** The shape to feed: equal names get equal sizes, and sums of names (`past_sequence + sequence`) their sum. */
export function bind(shape: readonly Dim[], sizes: Sizes): number[] {
  return shape.map((dim, axis) =>
    typeof dim === 'number' && dim >= 0 ? dim : sizeOf(typeof dim === 'string' ? dim : null, axis, shape.length, sizes),
  )
}

function sizeOf(name: string | null, axis: number, rank: number, sizes: Sizes): number {
  if (name?.includes('+'))
    return name.split('+').reduce((sum, part) => sum + (Number(part) || sizeOf(part.trim(), axis, rank, sizes)), 0)
  const text = name?.toLowerCase() ?? ''
  if (/total|past.*\+|with_past|all_seq/.test(text)) return sizes.past + sizes.sequence
  if (/past|cache/.test(text)) return sizes.past
  if (/batch|^n$|^b$/.test(text)) return sizes.batch
  if (/seq|len|token|time|frame|^l$|^s$|^t$/.test(text)) return sizes.sequence
  if (/height|width|^h$|^w$|image|size/.test(text)) return sizes.image
  if (/channel|^c$/.test(text)) return 3
  // Nothing in the name: the first dimension is the batch; four of them are an image.
  if (axis === 0) return sizes.batch
  if (rank === 4) return axis === 1 ? 3 : sizes.image
  return rank === 2 || axis === 1 ? sizes.sequence : sizes.other
}
