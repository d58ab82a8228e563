import type { Model } from '../../../graph/model.ts'
import { inputPaths } from '../../../measure/inputs/files.ts'
import { roundsResults } from '../../../measure/rounded.ts'
import { OnnxError } from '../../../onnx/errors.ts'
import type { PassContext } from '../../pass.ts'
import type { HalfConstants } from '../constants.ts'
import type { Float16Options } from '../index.ts'
import type { Plan } from '../plan.ts'
import { Judge } from './judge.ts'
import { mayBeInfinite, outOfRange } from './ranges.ts'
import { Trial } from './trial.ts'

/** Models with more bytes of weights are not run just to see their ranges. */
const LARGE = 2 ** 30

/** The node whose values go farthest beyond the half range. */
export interface Overflow {
  node: string
  magnitude: number
}

/**
 * Runs the float32 model once and looks whether values that are to become float16 on a GPU leave its range.
 *
 * @returns undefined if none does, or if that can not be known here: the device is no GPU, or the model can not be run
 */
export async function findOverflow(
  model: Model,
  plan: Plan,
  constants: HalfConstants,
  options: Float16Options,
  context: PassContext,
): Promise<Overflow | undefined> {
  if (!roundsResults(context.device)) return undefined
  const bytes = [...model.graph.initializers].reduce((sum, { tensor }) => sum + (tensor?.byteLength ?? 0), 0)
  if (bytes > LARGE) return undefined
  try {
    const judge = new Judge({ cosine: -1, rtol: undefined, atol: undefined })
    const files = inputPaths(options.mixedInputs, context.file)
    const trial = await Trial.open(model, constants, judge, { files, samples: 1 })
    trial.close()
    const { large } = outOfRange(plan, trial.ranges)
    const sure = [...large].filter(([node]) => !mayBeInfinite(node)).sort((a, b) => b[1] - a[1])
    return sure[0] && { node: sure[0][0].label, magnitude: sure[0][1] }
  } catch (error) {
    // It was not asked for: what can't be run is converted without. Inputs that were given must fit.
    if (error instanceof OnnxError && !(options.mixedInputs?.length && error.code.startsWith('INPUTS')))
      return undefined
    throw error
  }
}
