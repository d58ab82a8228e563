import type { Tensor } from '../../../graph/tensor.ts'
import { OnnxError } from '../../../onnx/errors.ts'
import type { Session } from '../../../ort/session.ts'
import { loadFunction } from '../../user-function.ts'
import { withoutExit } from '../../without-exit.ts'
import type { InputSpec } from '../calibrate/data/index.ts'
import { feedOf } from '../calibrate/data/values.ts'
import type { Judge } from './loss.ts'

/** An output as the user's function sees it. */
export interface PlainTensor {
  type: string
  dims: readonly number[]
  data: number[] | string[]
}

/** What the user's function gets. */
export interface Candidate {
  /** Runs the model; values as in calibration modules: typed arrays, nested arrays, or `{ type, dims, data }`. */
  run(feeds: Readonly<Record<string, unknown>>): Promise<Record<string, PlainTensor>>
}

/** A score of a model, the higher the better. */
export type Evaluate = (model: Candidate) => number | Promise<number>

/** @throws OnnxError `EVALUATE_INVALID` if the module's default export is no function */
export function loadEvaluate(file: string): Promise<Evaluate> {
  return loadFunction(file, {
    code: 'EVALUATE_INVALID',
    purpose: 'evaluates models',
    example: 'async ({ run }) => score',
  })
}

/** The part of the float model's score that a model loses. */
export async function judgeByScore(
  float: Session,
  evaluate: Evaluate,
  inputs: readonly InputSpec[],
  file: string,
): Promise<Judge> {
  const scoreOf = async (session: Session): Promise<number> => {
    const run: Candidate['run'] = async (feeds) => {
      const results = await session.run(feedOf(feeds, inputs, {}, 'evaluate', file))
      return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, plain(tensor)]))
    }
    let score: unknown
    try {
      score = await withoutExit(() => evaluate({ run }))
    } catch (cause) {
      if (cause instanceof OnnxError) throw cause.at({ file })
      const message = cause instanceof Error ? cause.message : String(cause)
      throw new OnnxError('EVALUATE_THREW', `the function that evaluates models failed: ${message}`, {
        place: { file },
        cause,
      })
    }
    if (typeof score !== 'number' || !Number.isFinite(score))
      throw new OnnxError('EVALUATE_INVALID', `the function that evaluates models returned ${String(score)}`, {
        place: { file },
        hint: 'Return a finite number, the higher the better.',
      })
    return score
  }
  const best = await scoreOf(float)
  return {
    async loss(session) {
      const lost = best - (await scoreOf(session))
      return Math.max(0, best === 0 ? lost : lost / Math.abs(best))
    },
  }
}

function plain(tensor: Tensor): PlainTensor {
  const { dims, dtype = 'float32' } = tensor
  return { type: dtype, dims, data: dtype === 'string' ? tensor.toStrings() : tensor.toNumbers() }
}
