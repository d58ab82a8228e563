import { OnnxSessionError } from '../error.ts'
import type { IoInfo } from '../types.ts'

/** One tensor of the cache: the input that takes it and the output that gives the next one. */
export interface CacheSlot {
  input: IoInfo
  output: string
}

/**
 * Pairs the inputs and outputs of a model that hold keys and values of earlier tokens, by the names that exporters use:
 * `past_key_values.0.key` and `present.0.key`, `past_0` and `present_0`, `past_key_0` and `present_key_0`.
 * @throws OnnxSessionError GENERATE_MODEL if an input has no such output
 */
export function cacheSlots(inputs: readonly IoInfo[], outputs: readonly IoInfo[]): CacheSlot[] {
  return inputs.flatMap((input) => {
    const rest = /^past(?:_key_values)?([._].*)$/.exec(input.name)?.[1]
    if (rest === undefined) return []
    const candidates = [`present${rest}`, `present_key_values${rest}`, input.name.replace(/^past/, 'present')]
    const output = candidates.find((name) => outputs.some((one) => one.name === name))
    if (output === undefined)
      throw new OnnxSessionError('GENERATE_MODEL', `input "${input.name}" has no output that continues it`)
    return { input, output }
  })
}

/**
 * The shape of a cache that holds no token yet of so many sequences: `[1, heads, 0, size]`, or `[2, 1, heads, 0, size]` where keys and values
 * share a tensor.
 * @throws OnnxSessionError GENERATE_MODEL if the model fixes its length, or leaves the other dims open
 */
export function emptyCache({ name, shape }: IoInfo, rows = 1): number[] {
  const fail = (why: string) => new OnnxSessionError('GENERATE_MODEL', `input "${name}" ${why}`)
  if (shape?.length !== 4 && shape?.length !== 5) throw fail('is not of rank 4 or 5, as a cache of keys and values is')
  const length = shape.length - 2
  const batch = shape.length - 4
  return shape.map((dim, axis) => {
    if (axis === length) {
      if (typeof dim === 'number' && dim > 0) throw fail(`is fixed at ${dim} tokens: it has to start with none`)
      return 0
    }
    if (axis === batch && typeof dim !== 'number') return rows
    if (typeof dim !== 'number') throw fail(`does not say its size at dim ${axis}`)
    return dim
  })
}
