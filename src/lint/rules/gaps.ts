import { finding, type LintRule } from '../finding.ts'

/** Convolutions whose stride is larger than their kernel read only part of their input. */
export const gaps: LintRule = ({ model }) => {
  const nodes = [...model.graph.allNodes()].filter((node) => {
    const strides = node.is('Conv') ? node.ints('strides') : undefined
    const kernel = node.ints('kernel_shape') ?? node.input(1)?.shape?.slice(2)
    return strides?.some((stride, i) => typeof kernel?.[i] === 'number' && stride > (kernel[i] as number))
  })
  return finding('gaps', nodes, {
    message: 'convolutions with a stride larger than their kernel',
    cost: 'operands with gaps are not packed: matrix units can not be used, and part of the input is computed for nothing',
    change: 'Use a kernel as large as the stride, or drop what is skipped before the layer that makes it.',
  })
}
