import type { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'

const INTEGER_OPS =
  /^(QuantizeLinear|DequantizeLinear|DynamicQuantizeLinear|MatMulInteger|ConvInteger|QLinear\w+|QGemm|QAttention|QEmbedLayerNormalization|QOrdered\w+|MatMulIntegerToFloat|DynamicQuantizeMatMul|DynamicQuantizeLSTM|MatMulNBits|MatMulBnb4|MatMulFpQ4|GatherBlockQuantized)$/

/** True for operators that quantization makes. */
export function isQuantizedOp({ opType }: Node): boolean {
  return INTEGER_OPS.test(opType)
}

/** The first operator that shows that a model was quantized before, or undefined. */
export function isAlreadyQuantized(model: Model): string | undefined {
  for (const { opType } of model.allNodes()) if (INTEGER_OPS.test(opType)) return opType
  return undefined
}
