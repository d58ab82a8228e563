import type { Handler } from '../tools.ts'
import { attention } from './attention.ts'
import { conv } from './conv.ts'
import { embedLayerNormalization } from './embed-layer-normalization.ts'
import { gather } from './gather.ts'
import { gemm } from './gemm.ts'
import { lstm } from './lstm.ts'
import { matMul } from './matmul.ts'
import { transpose } from './transpose.ts'

/** Every operator that dynamic quantization knows. */
export const HANDLERS: readonly Handler[] = [
  matMul,
  gemm,
  conv,
  attention,
  lstm,
  gather,
  embedLayerNormalization,
  transpose,
]
