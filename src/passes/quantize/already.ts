import type { Model } from '../../graph/model.ts'
import type { Node } from '../../graph/node.ts'
import type { PassContext } from '../pass.ts'

const INTEGER_OPS =
  /^(QuantizeLinear|DequantizeLinear|DynamicQuantizeLinear|MatMulInteger|ConvInteger|QLinear\w+|QGemm|QAttention|QEmbedLayerNormalization|QOrdered\w+|MatMulIntegerToFloat|DynamicQuantizeMatMul|DynamicQuantizeLSTM|MatMulNBits|MatMulBnb4|MatMulFpQ4|GatherBlockQuantized)$/

/** True for operators that quantization makes. */
export function isQuantizedOp({ opType }: Node): boolean {
  return INTEGER_OPS.test(opType)
}

/** True if an operator shows that a model was quantized before, which is noted. */
export function isAlreadyQuantized(model: Model, note: PassContext['note']): boolean {
  for (const { opType } of model.allNodes())
    if (INTEGER_OPS.test(opType)) {
      note({
        level: 'warn',
        code: 'quantize/already-quantized',
        message: `the model is quantized already (${opType}): it stays as it is`,
      })
      return true
    }
  return false
}

/** Notes that a model has no quantized operator, though quantization was asked for. */
export function noteIfFloat(model: Model, note: PassContext['note']): void {
  for (const node of model.allNodes()) if (isQuantizedOp(node)) return
  note({
    level: 'warn',
    code: 'quantize/nothing',
    message: 'nothing was quantized: the model has no operator that can be, or all of them are left out',
  })
}
