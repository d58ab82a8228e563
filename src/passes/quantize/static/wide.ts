import type { Node } from '../../../graph/node.ts'
import type { Value } from '../../../graph/value.ts'
import type { Range } from '../calibrate/methods/types.ts'
import type { Statistics } from '../calibrate/statistics.ts'
import type { Marks } from './marks.ts'
import type { StaticOptions, TensorOverrides } from './settings.ts'

/**
 * Activations whose typical channel is less than this many dB above the rounding of 8 bits are wide: 10 dB below the 41 dB of normally
 * distributed values in a range of four standard deviations to either side, so that the typical channel fills less than a third of
 * such a range. The figure of 10 dB is a choice, and a higher bar loses less: see docs/quantization.md.
 */
const LEAST_SQNR = 31

const STEPS = 255

/**
 * Activations that 8 bits cannot hold: a few values are so much larger than the others that rounding drowns these. In transformers
 * these are the sums along the residual path, with their few massive channels. Integer products read them in 8 bits all the same,
 * and what an integer convolution gives has 8 bits in any case.
 *
 * @returns activations that have parameters of their own; those that share them follow
 */
export function wideActivations(
  marks: Marks,
  ranges: ReadonlyMap<Value, Range>,
  statistics: ReadonlyMap<Value, Statistics>,
  options: StaticOptions,
  overrides: TensorOverrides,
): Set<Value> {
  const wide = new Set<Value>()
  const treatment = options.wideActivations ?? (options.allOps ? 'float' : 'quantize')
  if (treatment === 'quantize' || !options.activationType.endsWith('int8')) return wide
  for (const [value, provider] of marks.activations) {
    const override = overrides.get(value.name)
    if (provider || override?.type || override?.scale !== undefined) continue
    // What Softmax gives has a range of its own, whatever the data.
    if (value.producer && marks.nodes.has(value.producer) && hasFixedCodes(value.producer)) continue
    const [range, seen] = [ranges.get(value), statistics.get(value)]
    if (range && seen && seen.count > 0 && sqnrOf(range, seen) < LEAST_SQNR) wide.add(value)
  }
  return wide
}

/** Mean square of the values of the typical channel over that of what rounding to 8 bits adds (a twelfth of the squared step), in dB. */
function sqnrOf({ min, max }: Range, { squares, count }: Statistics): number {
  const step = (Math.max(max, 0) - Math.min(min, 0)) / STEPS
  const typical = squares.slice().sort()[squares.length >> 1]! * squares.length
  return step > 0 ? 10 * Math.log10((12 * typical) / count / step ** 2) : Number.POSITIVE_INFINITY
}

function hasFixedCodes({ opType }: Node): boolean {
  return opType === 'Conv' || opType === 'ConvTranspose' || opType === 'Softmax'
}
