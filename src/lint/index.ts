import type { Model } from '../graph/model.ts'
import { inferTypes } from '../ort/typing/index.ts'
import { GPU_DEVICES } from './devices.ts'
import type { Finding, LintRule } from './finding.ts'
import { operatorTable } from './operators.ts'
import { alignment } from './rules/alignment.ts'
import { casts } from './rules/casts.ts'
import { copies } from './rules/copies.ts'
import { dynamic } from './rules/dynamic.ts'
import { gaps } from './rules/gaps.ts'
import { layout } from './rules/layout.ts'
import { leaving } from './rules/leaving.ts'
import { quantized } from './rules/quantized.ts'
import { strides } from './rules/strides.ts'

export { LINT_DEVICES } from './devices.ts'
export type { Finding } from './finding.ts'

/** What costs most comes first. */
const GPU_RULES: readonly LintRule[] = [leaving, copies, quantized, casts, layout, alignment, strides, gaps, dynamic]

/** Accelerators that compile parts of the graph by themselves: layouts and sizes are their own matter. */
const RULES: readonly LintRule[] = [leaving, copies, dynamic]

/**
 * Looks for what slows a model down on a device.
 *
 * @param device one of `LINT_DEVICES`
 * @param from a folder of the project, where `onnxruntime-web` is looked for
 */
export async function lintModel(model: Model, device: string, from: string): Promise<Finding[]> {
  await inferTypes(model)
  const context = { model, device, operators: operatorTable(device, from) }
  return (GPU_DEVICES.includes(device) ? GPU_RULES : RULES).flatMap((rule) => rule(context))
}
