import { type DType, isFloat } from '../onnx/dtypes.ts'
import { splitQualified } from '../rewrite/index.ts'

/** Devices in the columns of the table. `wasm` runs ONNX Runtime's CPU kernels. */
const COLUMNS = ['cpu', 'webgpu', 'webnn', 'cuda', 'dml'] as const
type Column = (typeof COLUMNS)[number]

/** Which column a device is read from; others (coreml, qnn) leave what they lack to the CPU. */
const COLUMN_OF: Readonly<Record<string, Column>> = {
  cpu: 'cpu',
  wasm: 'cpu',
  webgpu: 'webgpu',
  webnn: 'webnn',
  cuda: 'cuda',
  tensorrt: 'cuda',
  dml: 'dml',
}

/**
 * Kernels of fused operators of `com.microsoft` in ONNX Runtime 1.30, one letter per column: `y` yes, `-` none, `f` float32 only
 * (float16 would be converted back and forth). Operators that are not listed are taken to run nowhere.
 */
const KERNELS: Readonly<Record<string, string>> = {
  //                                 cpu webgpu webnn cuda dml
  Attention: 'fy-yy',
  BiasAdd: '-y-yy',
  BiasDropout: '---y-',
  BiasGelu: 'fy-yy',
  BiasSoftmax: '---y-',
  BiasSplitGelu: '-y-yy',
  DynamicQuantizeMatMul: 'y---y',
  EmbedLayerNormalization: 'f--yy',
  FastGelu: 'fy-yy',
  FusedConv: 'fy-y-',
  FusedGemm: 'f----',
  FusedMatMul: 'f--yy',
  Gelu: 'fy-yy',
  GemmFastGelu: '-----',
  GroupNorm: '---yy',
  GroupQueryAttention: 'yyyyy',
  MatMulNBits: 'yyyyy',
  MultiHeadAttention: 'fyyyy',
  NhwcConv: '---yy',
  PackedAttention: '---y-',
  PackedMultiHeadAttention: '---y-',
  QuickGelu: 'fy-yy',
  RelativePositionBias: '---y-',
  RemovePadding: '---y-',
  RestorePadding: '---y-',
  RotaryEmbedding: 'yyyyy',
  SkipGroupNorm: '---y-',
  SkipLayerNormalization: 'yy-yy',
  SkipSimplifiedLayerNormalization: 'yyyyy',
}

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
/** Devices that run standard operators which not all do, in the columns of `KERNELS`. */
const STANDARD: Readonly<Record<string, string>> = {
  Attention: 'f----',
  RotaryEmbedding: 'y----',
}
const UNTIL: Readonly<Record<string, number>> = { SimplifiedLayerNormalization: 22 }

/**
 * Whether ONNX Runtime can run an operator on a device, for the rules that choose between fused operators.
 *
 * @returns a predicate over the qualified operator, the model's opset and the element type (unknown: any)
 */
export function legalityOf(device: string): (op: string, opset: number, dtype: DType | undefined) => boolean {
  const column = COLUMNS.indexOf(COLUMN_OF[device] ?? 'cpu')
  return (name, opset, dtype) => {
    const { domain, op } = splitQualified(name)
    const isStandard = domain === ''
    if (isStandard && (opset < (SINCE[op] ?? 1) || opset > (UNTIL[op] ?? Number.POSITIVE_INFINITY))) return false
    if (!isStandard && domain !== 'com.microsoft') return true
    const entry = isStandard ? (STANDARD[op]?.[column] ?? 'y') : (KERNELS[op]?.[column] ?? '-')
    return entry === 'y' || (entry === 'f' && (dtype === undefined || dtype === 'float32' || !isFloat(dtype)))
  }
}
