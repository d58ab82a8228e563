import type { Handler } from '../tools.ts'
import { gather } from './gather.ts'
import { gemm } from './gemm.ts'
import { matMul } from './matmul.ts'

/** Every operator that dynamic quantization knows. */
export const HANDLERS: readonly Handler[] = [matMul, gemm, gather]
