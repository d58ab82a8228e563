import type { Model } from '../../graph/model.ts'
import { explain, type NearMiss } from '../../rewrite/index.ts'
import { chosenPhases } from '../../rules/index.ts'
import { legalityOf } from '../../rules/legality.ts'
import type { PassContext } from '../pass.ts'
import { choiceOf } from './choice.ts'
import { type FuseOptions, run } from './run.ts'

/**
 * What stopped each fusion rule at each place where it could still begin once everything else is fused, the furthest attempts of a
 * rule first. Fuses the model on the way: give it a copy.
 *
 * @param options of the pass: which rules to run and to explain
 */
export async function explainFusions(
  model: Model,
  context: Pick<PassContext, 'ort' | 'device' | 'note'>,
  options: Partial<FuseOptions> = {},
): Promise<NearMiss[]> {
  const wanted: FuseOptions = { fuse: 'auto', ...options }
  const { data } = await run(model, wanted, context)
  await context.ort.inferTypes(model)
  const rules = chosenPhases(choiceOf(wanted, data.modelType, context.device)).flat()
  return explain(model, [...new Set(rules)], { allows: legalityOf(context.device) })
}
