import { type DType, isFloat } from '../onnx/dtypes.ts'
import { splitQualified } from '../rewrite/index.ts'
import { hasKernel } from './legality/kernels.ts'

/**
 * First opset of standard operators that rules may choose. ONNX Runtime has LayerNormalization in every opset, older than the
 * standard's 17, and SimplifiedLayerNormalization as an operator of its own.
 */
const SINCE: Readonly<Record<string, number>> = {
  Attention: 23,
  Gelu: 20,
  GroupNormalization: 21,
  HardSwish: 14,
  LayerNormalization: 1,
  Mish: 18,
  RMSNormalization: 23,
  RotaryEmbedding: 23,
  Swish: 24,
}
/** Standard operators that not all devices run. */
const NOT_EVERYWHERE: readonly string[] = ['Attention', 'RotaryEmbedding']
const UNTIL: Readonly<Record<string, number>> = { SimplifiedLayerNormalization: 22 }

/** Providers that take whole parts of the graph: what they do not know leaves the device, however well the CPU runs it. */
const COMPILERS: readonly string[] = ['coreml', 'qnn', 'tensorrt']

/**
 * Whether ONNX Runtime can run an operator on a device, for the rules that choose between fused operators. A fused operator
 * without a kernel on the device, or only with one for another precision (its operands would be converted back and forth), is
 * none to choose.
 *
 * @returns a predicate over the qualified operator, the model's opset and the element type (unknown: any)
 */
export function legalityOf(device: string): (op: string, opset: number, dtype: DType | undefined) => boolean {
  return (name, opset, dtype) => {
    const { domain, op } = splitQualified(name)
    const float = dtype && isFloat(dtype) ? dtype : undefined
    if (domain === '') {
      if (opset < (SINCE[op] ?? 1) || opset > (UNTIL[op] ?? Number.POSITIVE_INFINITY)) return false
      if (!COMPILERS.includes(device) && !NOT_EVERYWHERE.includes(op)) return true
      return hasKernel(device, op, opset, float) !== false
    }
    if (domain !== 'com.microsoft') return true
    return hasKernel(device, name, 1, float) ?? false
  }
}
