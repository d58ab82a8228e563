import type { Value } from '../../../graph/value.ts'
import { OnnxError } from '../../../onnx/errors.ts'
import type { Feeds } from './data/types.ts'

/**
 * The error of a run, with the sample that it failed at and what may be wrong with it. Others come as they are.
 *
 * @param sample its number, undefined if that is not known
 */
export function failedSample(
  error: unknown,
  sample?: number,
  feeds: Feeds = {},
  inputs: readonly Value[] = [],
): unknown {
  if (!(error instanceof OnnxError) || error.code !== 'ORT_RUN_FAILED') return error
  const which = sample === undefined ? 'a sample' : `sample ${sample}`
  return new OnnxError(error.code, `the model fails at ${which} of the calibration data: ${error.what}`, {
    cause: error,
    hint:
      unequal(feeds, inputs) ??
      'Look at its values: indices must lie within the tables that they are for, and sizes must go together.',
  })
}

/** Two inputs that have different sizes where the model calls them by the same name. */
function unequal(feeds: Feeds, inputs: readonly Value[]): string | undefined {
  const known = new Map<string, { input: string; size: number }>()
  for (const { name, shape } of inputs)
    for (const [axis, dim] of (shape ?? []).entries()) {
      const size = feeds[name]?.dims[axis]
      if (typeof dim !== 'string' || size === undefined) continue
      const other = known.get(dim)
      if (other && other.size !== size)
        return `"${dim}" is ${other.size} in ${other.input} and ${size} in ${name}: the model means one size by it.`
      known.set(dim, other ?? { input: name, size })
    }
  return undefined
}
