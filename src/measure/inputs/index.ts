import type { Model } from '../../graph/model.ts'
import type { OnnxError } from '../../onnx/errors.ts'
import type { Feeds, IsolatedSession } from '../isolated.ts'
import { generateInputs } from './generate.ts'
import { readInputs } from './read.ts'
import type { Roles } from './roles.ts'
import { SIZES } from './sizes.ts'

/** Where inputs come from. */
export interface InputSource {
  /** Files with inputs; none: they are made up from the graph. */
  files: readonly string[]
  /** How many feeds to make up, or to take at most from files. */
  samples: number
  /** Other made-up numbers for every seed. Default 0. */
  seed?: number | undefined
  /** What inputs are, where their names do not tell. */
  roles?: Roles | undefined
}

/**
 * Feeds that the model runs with, and its outputs for them. Made-up inputs are tried in several sizes.
 *
 * @throws OnnxError if files do not fit the model, or it runs with none of the made-up inputs (then ONNX Runtime's words of
 * the first attempt)
 */
export async function feedsFor(
  model: Model,
  session: IsolatedSession,
  { files, samples, seed = 0, roles }: InputSource,
): Promise<Feeds[]> {
  if (files.length) return files.flatMap((file) => readInputs(file, model)).slice(0, samples)
  let first: unknown
  for (const sizes of SIZES) {
    const feeds = generateInputs(model, samples, sizes, { seed, roles })
    try {
      await session.run(feeds[0] ?? {})
      return feeds
    } catch (error) {
      if ((error as OnnxError).code !== 'ORT_RUN_FAILED') throw error
      first ??= error
    }
  }
  throw first
}
