import type { Model } from '../../graph/model.ts'
import { propagateShapes } from '../../graph/shapes/index.ts'
import { explain } from '../../rewrite/index.ts'
import { chosenPhases } from '../../rules/index.ts'
import { legalityOf } from '../../rules/legality.ts'
import type { PassContext } from '../pass.ts'
import { choiceOf } from './choice.ts'
import { type FuseData, type FuseOptions, run } from './run.ts'

/** What fusing does to a model, and what stopped it elsewhere. */
export interface Explanation extends FuseData {
  /** Count per fused operator. */
  fused: Record<string, number>
}

/**
 * What stopped each fusion rule at each place where it could still begin once everything else is fused (`nearMisses`, the furthest
 * attempts of a rule first), beside what the pass tells. Fuses the model on the way: give it a copy.
 *
 * @param options of the pass: which rules to run and to explain
 */
export async function explainFusions(
  model: Model,
  context: Pick<PassContext, 'ort' | 'device' | 'note'>,
  options: Partial<FuseOptions> = {},
): Promise<Explanation> {
  const wanted: FuseOptions = { fuse: 'auto', ...options }
  const { data, fused = {} } = await run(model, wanted, context)
  await context.ort.inferTypes(model)
  propagateShapes(model, { named: true })
  const rules = chosenPhases(choiceOf(wanted, data.modelType, context.device)).flat()
  const nearMisses = explain(model, [...new Set(rules)], { allows: legalityOf(context.device) })
  return { ...data, fused, nearMisses }
}
