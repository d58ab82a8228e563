import type { Node } from '../../graph/node.ts'

/**
 * Standard operators that have CUDA kernels for bfloat16, with the first opset whose kernel has (the table of kernels in ONNX
 * Runtime's documentation).
 */
const SINCE: Readonly<Record<string, number>> = {
  ...{ Abs: 13, Add: 13, Attention: 23, AveragePool: 22, Cast: 13, Compress: 9, Concat: 4, ConcatFromSequence: 11 },
  ...{ ConstantOfShape: 9, Conv: 22, Div: 13, Dropout: 13, Erf: 13, Exp: 13, Expand: 8, Flatten: 1, Gather: 1 },
  ...{ GatherElements: 11, GatherND: 13, Gelu: 20, Gemm: 13, HardSigmoid: 22, HardSwish: 22, Identity: 1, IsInf: 20 },
  ...{ IsNaN: 13, LayerNormalization: 1, MatMul: 13, Max: 6, Min: 6, Mod: 13, Mul: 13, Neg: 13, Pow: 15 },
  ...{ RMSNormalization: 23, ReduceSum: 13, Relu: 13, Reshape: 1, ReverseSequence: 10, RotaryEmbedding: 23 },
  ...{
    ScatterElements: 11,
    ScatterND: 11,
    Shape: 13,
    Sigmoid: 13,
    Sign: 13,
    Size: 13,
    SimplifiedLayerNormalization: 1,
    Slice: 1,
  },
  ...{ Softmax: 13, Split: 2, Sqrt: 13, Squeeze: 1, Sub: 13, Sum: 6, Tanh: 13, TensorScatter: 24, Tile: 13 },
  ...{ Transpose: 1, Trilu: 14, Unsqueeze: 1, Where: 16 },
}

/** The same of `com.microsoft`. */
const FUSED = new Set([
  ...['Attention', 'BiasDropout', 'BiasGelu', 'FastGelu', 'FusedMatMul', 'GatherBlockQuantized', 'Gelu'],
  ...['GroupQueryAttention', 'MatMulBnb4', 'MatMulNBits', 'MoE', 'MultiHeadAttention', 'QuickGelu', 'RotaryEmbedding'],
  ...['SkipLayerNormalization', 'SkipSimplifiedLayerNormalization', 'Trilu'],
])

/**
 * Operators that the standard also writes out as functions: where ONNX Runtime has no kernel it takes these apart, and can not be
 * asked. All of their floats have one type.
 */
export const WRITTEN_OUT: ReadonlySet<string> = new Set([
  ...['Attention', 'Gelu', 'HardSwish', 'LayerNormalization', 'RMSNormalization', 'RotaryEmbedding'],
])

/** True if CUDA computes this node in bfloat16. */
export function runsInBfloat16(node: Node, opset: number): boolean {
  const givesStatistics = node.opType.endsWith('LayerNormalization') && !!(node.outputs[1] ?? node.outputs[2])
  // These are float32 beside a result of bfloat16.
  if (givesStatistics) return false
  if (node.domain === 'com.microsoft') return FUSED.has(node.opType)
  if (node.domain !== '') return false
  return opset >= (SINCE[node.opType] ?? Number.POSITIVE_INFINITY)
}
