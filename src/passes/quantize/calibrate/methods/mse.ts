import type { Histogram } from '../../../../kernels/index.ts'
import type { Method, Range } from './types.ts'

/** Ranges that are tried: fractions of the extremes. */
const STEPS = 64
const NARROWEST = 0.2

/**
 * The range of least mean squared error: what rounding costs inside of it (a twelfth of the squared step) and what clipping costs
 * outside, over the values that were counted. Both ends are narrowed in turn until nothing is won.
 */
export const mse: Method = {
  histogram: 'values',
  range({ histogram, min, max }, { levels, symmetric }): Range {
    const low = Math.min(min, 0)
    const high = Math.max(max, 0)
    const error = (from: number, to: number): number => clippingError(histogram!, from, to, levels)
    if (symmetric) {
      const limit = Math.max(-low, high)
      const best = narrowest((part) => error(-limit * part, limit * part))
      return { min: -limit * best, max: limit * best }
    }
    let [from, to] = [low, high]
    for (let round = 0; round < 3; round++) {
      const lower = low < 0 ? low * narrowest((part) => error(low * part, to)) : 0
      const upper = high > 0 ? high * narrowest((part) => error(lower, high * part)) : 0
      if (lower === from && upper === to) break
      ;[from, to] = [lower, upper]
    }
    return { min: from, max: to }
  },
}

function narrowest(error: (part: number) => number): number {
  let best = 1
  let least = error(1)
  for (let i = 1; i <= STEPS; i++) {
    const part = 1 - (i / STEPS) * (1 - NARROWEST)
    const found = error(part)
    if (found < least) {
      least = found
      best = part
    }
  }
  return best
}

/** Expected squared error of one value that is quantized in `from`..`to`. */
function clippingError({ counts, low, high }: Histogram, from: number, to: number, levels: number): number {
  const width = (high - low) / counts.length
  const rounding = ((to - from) / levels) ** 2 / 12
  let sum = 0
  let total = 0
  for (let i = 0; i < counts.length; i++) {
    const count = counts[i]!
    if (!count) continue
    const center = low + (i + 0.5) * width
    const outside = center < from ? from - center : center > to ? center - to : 0
    sum += count * (outside > 0 ? outside * outside + rounding : rounding)
    total += count
  }
  return total ? sum / total : 0
}
