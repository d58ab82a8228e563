import { finding, type LintRule } from '../finding.ts'

const INTEGER = new Set([
  ...['QuantizeLinear', 'DequantizeLinear', 'DynamicQuantizeLinear', 'MatMulInteger', 'ConvInteger', 'QLinearConv'],
  ...['QLinearMatMul', 'QAttention', 'DynamicQuantizeMatMul', 'MatMulIntegerToFloat', 'QLinearAdd', 'QGemm'],
])

/** Quantization made for CPUs, on devices that compute such operators in float or leave them to the CPU. */
export const quantized: LintRule = ({ model, device }) => {
  if (device === 'tensorrt') return []
  const nodes = [...model.graph.allNodes()].filter(
    // A weight that is stored quantized costs one pass when it is read.
    (node) => INTEGER.has(node.opType) && !(node.is('DequantizeLinear') && node.input(0)?.constant),
  )
  return finding('quantized', nodes, {
    message: 'operators of int8 quantization',
    cost: `on ${device} they are separate kernels or run on the CPU, with copies of their operands`,
    change: 'Build for this target with `dtype=fp16`, `q4f16`, or weight-only quantization.',
  })
}
