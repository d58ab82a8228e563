import { finding, type LintRule } from '../finding.ts'

/** Inputs with dynamic dimensions. */
export const dynamic: LintRule = ({ model }) => {
  const inputs = model.graph.inputs.filter(
    ({ tensor, shape }) => !tensor && shape?.some((dim) => typeof dim !== 'number'),
  )
  const list = inputs.map(({ name, shape }) => `${name} [${shape!.map((dim) => dim ?? '?').join(', ')}]`)
  return finding('dynamic', list, {
    message: 'inputs with dynamic dimensions',
    cost: 'memory for every size that occurs is kept, kernels are compiled again for new sizes, and graphs of the device can not be captured',
    change: 'Where sizes are known, fix them: `shape=input_ids:1x128` or `dim=batch:1`.',
  })
}
