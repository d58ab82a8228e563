import type { Model } from '../../graph/model.ts'
import { explain, type NearMiss } from '../../rewrite/index.ts'
import { type Choice, chosenPhases } from '../../rules/index.ts'
import { legalityOf } from '../../rules/legality.ts'
import type { PassContext } from '../pass.ts'
import { fuse } from './index.ts'
import { run } from './run.ts'

/**
 * What stopped each fusion rule at each place where it could still begin once everything else is fused, the furthest attempts of a
 * rule first. Fuses the model on the way: give it a copy.
 *
 * @param choice rules to run and to explain
 */
export async function explainFusions(
  model: Model,
  context: Pick<PassContext, 'ort' | 'device' | 'note'>,
  choice: Choice = {},
): Promise<NearMiss[]> {
  const { geluApproximation, mask, strict } = fuse.params
  const defaults = { geluApproximation: geluApproximation.default, mask: mask.default, strict: strict.default }
  await run(model, { fuse: 'auto', ...defaults, ...choice }, context)
  await context.ort.inferTypes(model)
  return explain(model, chosenPhases(choice).flat(), { allows: legalityOf(context.device) })
}
